//! Names and addresses in rules and certificates.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

/// A DNS name, whose first label may be `*`, or an IP address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerName(String);

/// An address, or a range of addresses such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IpRange {
    address: IpAddr,
    /// Length of the prefix in bits; `None` for a single address.
    prefix: Option<u8>,
}

/// A text that is not a [`ServerName`], or not an [`IpRange`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not {what}")]
pub struct InvalidAddress {
    text: String,
    what: &'static str,
}

impl FromStr for ServerName {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let name = text.strip_prefix("*.").unwrap_or(text);
        let valid = text.len() <= 253 && name.split('.').all(label);
        if valid || text.parse::<IpAddr>().is_ok() {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidAddress { text: text.to_owned(), what: "a DNS name such as db.example.org" })
        }
    }
}

impl FromStr for IpRange {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let parsed = match text.split_once('/') {
            None => text.parse().ok().map(|address| Self { address, prefix: None }),
            Some((address, prefix)) => {
                let plain = !prefix.is_empty() && prefix.bytes().all(|c| c.is_ascii_digit());
                let prefix = prefix.parse().ok().filter(|_| plain);
                address.parse().ok().zip(prefix).map(|(address, prefix)| Self { address, prefix: Some(prefix) })
            }
        };
        let fits = |range: &Self| range.prefix.is_none_or(|p| p <= if range.address.is_ipv4() { 32 } else { 128 });
        parsed
            .filter(fits)
            .ok_or_else(|| InvalidAddress { text: text.to_owned(), what: "an address range such as 10.0.0.0/8" })
    }
}

impl From<IpAddr> for IpRange {
    fn from(address: IpAddr) -> Self {
        Self { address, prefix: None }
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for IpRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix {
            Some(prefix) => write!(f, "{}/{prefix}", self.address),
            None => self.address.fmt(f),
        }
    }
}

impl From<ServerName> for String {
    fn from(name: ServerName) -> Self {
        name.0
    }
}

impl From<IpRange> for String {
    fn from(range: IpRange) -> Self {
        range.to_string()
    }
}

impl TryFrom<String> for ServerName {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        text.parse()
    }
}

impl TryFrom<String> for IpRange {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("db.example.org", true)]
    #[case("*.example.org", true)]
    #[case("localhost", true)]
    #[case("10.0.0.1", true)]
    #[case("::1", true)]
    #[case("", false)]
    #[case("a..b", false)]
    #[case("-a", false)]
    #[case("a.*.b", false)]
    #[case("a`b", false)]
    #[case("*", false)]
    fn a_server_name_exists_only_if_it_is_valid(#[case] text: &str, #[case] valid: bool) {
        assert_eq!(text.parse::<ServerName>().is_ok(), valid);
    }

    #[rstest]
    #[case("10.0.0.0/8", true)]
    #[case("10.0.0.1", true)]
    #[case("fd00::/8", true)]
    #[case("10.0.0.0/33", false)]
    #[case("fd00::/129", false)]
    #[case("10.0.0.0/", false)]
    #[case("10.0.0.0/+8", false)]
    #[case("a/8", false)]
    fn a_range_exists_only_if_it_is_valid(#[case] text: &str, #[case] valid: bool) {
        assert_eq!(text.parse::<IpRange>().map(|range| range.to_string()).ok(), valid.then(|| text.to_owned()));
    }
}
