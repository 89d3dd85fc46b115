//! The address that a server listens at.

use std::{fmt, net::SocketAddr, str::FromStr};

/// Address to listen at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListenAddress {
    /// All addresses of the host, of IPv4 and IPv6 as far as the kernel has them.
    All { port: u16 },
    /// Single address, or all addresses of its family.
    One(SocketAddr),
}

/// Error of a text that is not an address to listen at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoListenAddress;

impl ListenAddress {
    /// Returns the port.
    pub(crate) fn port(self) -> u16 {
        match self {
            Self::All { port } => port,
            Self::One(address) => address.port(),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = NoListenAddress;

    /// Takes `:8081` for all addresses, and otherwise an address with a port.
    fn from_str(text: &str) -> Result<Self, NoListenAddress> {
        match text.strip_prefix(':') {
            // A sign would be taken for part of the number.
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                port.parse().map(|port| Self::All { port }).map_err(|_| NoListenAddress)
            }
            _ => text.parse().map(Self::One).map_err(|_| NoListenAddress),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All { port } => write!(f, ":{port}"),
            Self::One(address) => address.fmt(f),
        }
    }
}

impl fmt::Display for NoListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an address with a port")
    }
}

impl std::error::Error for NoListenAddress {}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(":8081", Some(ListenAddress::All { port: 8081 }))]
    #[case("0.0.0.0:8081", Some(ListenAddress::One(([0, 0, 0, 0], 8081).into())))]
    #[case("[::]:8081", Some(ListenAddress::One("[::]:8081".parse().unwrap())))]
    #[case("127.0.0.1:1", Some(ListenAddress::One(([127, 0, 0, 1], 1).into())))]
    #[case("8081", None)]
    #[case(":", None)]
    #[case(":+1", None)]
    #[case(":65536", None)]
    #[case("localhost:8081", None)]
    #[case("::1:8081", None)]
    fn an_address_has_a_port(#[case] text: &str, #[case] address: Option<ListenAddress>) {
        assert_eq!(text.parse().ok(), address);
        assert!(address.is_none_or(|address| address.to_string() == text));
    }
}
