//! The port of a backend, by number or by name.

use std::{
    fmt,
    num::{NonZeroU16, ParseIntError},
    ops::Deref,
    str::FromStr,
};

/// Port of a pod or of an endpoint that connections go to.
///
/// ```
/// use ilb_discovery::BackendPort;
///
/// assert_eq!(BackendPort::from(5432), "5432".parse()?);
/// assert_eq!(BackendPort::Name("sql".parse()?), "sql".parse::<BackendPort>()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BackendPort {
    /// The port of this number. With 0, which is not a port, no object has a backend.
    Number(u16),
    /// The TCP port of this name: of a container, where pods are read; of the Service, where EndpointSlices are.
    Name(PortName),
}

impl From<u16> for BackendPort {
    fn from(number: u16) -> Self {
        Self::Number(number)
    }
}

impl From<PortName> for BackendPort {
    fn from(name: PortName) -> Self {
        Self::Name(name)
    }
}

impl FromStr for BackendPort {
    type Err = InvalidPort;

    /// Parses digits as a number, and every other text as a name.
    fn from_str(text: &str) -> Result<Self, InvalidPort> {
        if text.bytes().all(|b| b.is_ascii_digit()) {
            let number: Result<NonZeroU16, _> = text.parse();
            let number = number.map_err(|cause| InvalidPort::Number { text: text.to_owned(), cause })?;
            return Ok(Self::Number(number.get()));
        }
        text.parse().map(Self::Name).map_err(|cause| InvalidPort::Name { text: text.to_owned(), cause })
    }
}

impl fmt::Display for BackendPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// Returns whether `text` has the form of a DNS label: 1 to 63 lowercase letters, digits and inner `-`.
pub(super) fn is_dns_label(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.len() <= 63 && text.starts_with(plain) && text.ends_with(plain) && text.chars().all(|c| plain(c) || c == '-')
}

/// Returns the number of a port in an object, where it is one. The API server does not check those of EndpointSlices.
pub(super) fn valid_number(number: i64) -> Option<u16> {
    u16::try_from(number).ok().filter(|number| *number != 0)
}

/// Error of a text that is not a [`BackendPort`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPort {
    /// The text has only digits and is not the number of a port, or it is empty.
    #[error(
        "'{text}' is not a port: expected 1 to 65535, or a name of at most 63 lowercase letters, digits and inner '-'"
    )]
    Number {
        /// The text.
        text: String,
        /// Error of the number.
        #[source]
        cause: ParseIntError,
    },
    /// The text has other characters than digits and is not the name of a port.
    #[error("'{text}' is not a port: expected 1 to 65535, or a name")]
    Name {
        /// The text.
        text: String,
        /// Error of the name, with the rule for names.
        #[source]
        cause: InvalidPortName,
    },
}

/// Name of a port, as Kubernetes defines it: 1 to 63 lowercase letters, digits and inner `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PortName(Box<str>);

impl FromStr for PortName {
    type Err = InvalidPortName;

    fn from_str(name: &str) -> Result<Self, InvalidPortName> {
        if is_dns_label(name) { Ok(Self(name.into())) } else { Err(InvalidPortName(name.to_owned())) }
    }
}

impl Deref for PortName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

/// Error of a text that is not a [`PortName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not the name of a port: expected at most 63 lowercase letters, digits and inner '-'")]
pub struct InvalidPortName(String);

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("5432", Some("5432"))]
    #[case("db", Some("db"))]
    #[case("8x", Some("8x"))]
    #[case("0", None)]
    #[case("65536", None)]
    #[case("", None)]
    #[case("Db", None)]
    #[case("db-", None)]
    #[case("a b", None)]
    fn a_port_is_a_number_or_a_name(#[case] text: &str, #[case] parsed: Option<&str>) {
        assert_eq!(text.parse::<BackendPort>().ok().map(|p| p.to_string()).as_deref(), parsed);
    }

    #[test]
    fn an_error_names_the_text_and_the_rule() {
        let error = "70000".parse::<BackendPort>().unwrap_err();
        assert!(error.to_string().starts_with("'70000' is not a port: expected 1 to 65535"), "{error}");
        assert!(error.source().unwrap().is::<ParseIntError>());
        let error = "a b".parse::<BackendPort>().unwrap_err();
        assert_eq!(error.to_string(), "'a b' is not a port: expected 1 to 65535, or a name");
        assert!(error.source().unwrap().is::<InvalidPortName>());
        let error = "a b".parse::<PortName>().unwrap_err().to_string();
        assert!(error.starts_with("'a b' is not the name of a port: expected at most 63"), "{error}");
    }
}
