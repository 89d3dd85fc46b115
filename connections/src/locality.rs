//! The addresses of this network namespace.

use std::{
    io,
    net::{IpAddr, UdpSocket},
};

/// Returns `true` if `ip` is an address of this network namespace. The connections of a proxy at any other address are
/// not visible here.
///
/// The kernel decides, by the addresses to which a socket can be bound. (With `ip_nonlocal_bind` set, and in a
/// namespace in which not even `lo` is up, that is every address.)
pub fn is_local(ip: IpAddr) -> bool {
    !matches!(UdpSocket::bind((ip, 0)), Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("127.0.0.1", true)]
    #[case("127.1.2.3", true)]
    #[case("192.0.2.1", false)] // reserved for documentation, so no host has it
    fn an_address_is_local_if_it_can_be_bound(#[case] ip: IpAddr, #[case] expected: bool) {
        assert_eq!(is_local(ip), expected);
    }
}
