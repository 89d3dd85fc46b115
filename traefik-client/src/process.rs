//! Identity and version of a Traefik process, as Traefik reports them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Start date of a Traefik process, which distinguishes it from its successor at the same address.
///
/// It is compared and shown, never computed with, so it stays the text that Traefik wrote.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StartDate(String);

/// Version of Traefik, such as `3.7.15`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(String);

impl StartDate {
    /// Returns the date as Traefik wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Version {
    /// Returns the version as Traefik wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is `major.minor` or a later version; false for a version without numbers, such as `dev`.
    pub fn is_at_least(&self, major: u32, minor: u32) -> bool {
        let mut numbers = self.0.trim_start_matches('v').split('.').map_while(|part| part.parse::<u32>().ok());
        numbers.next().zip(numbers.next()).is_some_and(|version| version >= (major, minor))
    }
}

impl From<&str> for StartDate {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<&str> for Version {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for StartDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("3.5.3", false)]
    #[case("3.6.0", true)]
    #[case("v3.10.1", true)]
    #[case("4.0.0-rc1", true)]
    #[case("dev", false)]
    fn versions_are_compared_by_their_numbers(#[case] version: &str, #[case] expected: bool) {
        assert_eq!(Version::from(version).is_at_least(3, 6), expected);
    }
}
