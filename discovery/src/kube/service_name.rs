//! The name of a Service.

use std::{fmt, ops::Deref, str::FromStr};

use super::port::is_dns_label;

/// Name of a Service, as Kubernetes defines it: 1 to 63 lowercase letters, digits and inner `-`.
///
/// ```
/// use ilb_discovery::ServiceName;
///
/// assert_eq!(&*"my-db".parse::<ServiceName>()?, "my-db");
/// assert!("db,canary".parse::<ServiceName>().is_err());
/// # Ok::<(), ilb_discovery::errors::InvalidServiceName>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServiceName(Box<str>);

impl FromStr for ServiceName {
    type Err = InvalidServiceName;

    fn from_str(name: &str) -> Result<Self, InvalidServiceName> {
        if is_dns_label(name) { Ok(Self(name.into())) } else { Err(InvalidServiceName(name.to_owned())) }
    }
}

impl Deref for ServiceName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

/// Error of a text that is not a [`ServiceName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a Service: expected 1 to 63 lowercase letters, digits and inner '-'")]
pub struct InvalidServiceName(String);

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("db", true)]
    #[case("my-db-2", true)]
    #[case("2db", true)]
    #[case("", false)]
    #[case("db,canary", false)]
    #[case("A_b", false)]
    #[case("a.b", false)]
    #[case("db-", false)]
    #[case("a b", false)]
    fn a_service_has_the_name_of_a_dns_label(#[case] text: &str, #[case] valid: bool) {
        let parsed = text.parse::<ServiceName>();
        assert_eq!(parsed.is_ok(), valid);
        if let Err(error) = parsed {
            assert!(error.to_string().starts_with(&format!("{text:?} is not the name of a Service")), "{error}");
        }
    }

    #[test]
    fn a_name_has_at_most_63_characters() {
        assert!("a".repeat(63).parse::<ServiceName>().is_ok());
        assert!("a".repeat(64).parse::<ServiceName>().is_err());
    }
}
