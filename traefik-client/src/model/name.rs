//! Names of the parts of a configuration.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The name of an entry point, a router, a service, a middleware, a transport or a set of TLS options: 1 to 63 letters,
/// digits, `-` and `_`, beginning with a letter or digit, and not with the `rev-` of revision markers.
///
/// Traefik itself accepts any text. But an `@` in a name breaks the way it distinguishes providers, and no text from
/// outside may reach the configuration by way of a name. Names that this crate derives contain a `.`, which no given name
/// has, so the two never collide.
///
/// ```
/// use ilb_traefik_client::Name;
///
/// assert!("tcp".parse::<Name>().is_ok());
/// assert!("tcp@file".parse::<Name>().is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
// Shared, because a configuration contains each name of a backend twice and the name of its transport once per backend.
pub struct Name(Arc<str>);

impl Name {
    const MAX_LENGTH: usize = 63;
    pub(crate) const REVISION_PREFIX: &str = "rev-";

    /// Wraps a name that this crate has made from valid parts.
    pub(crate) fn derived(text: &str) -> Self {
        Self(text.into())
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Parses a name as Traefik returns it: given or derived, but not a revision marker.
    fn from_traefik(text: &str) -> Result<Self, InvalidName> {
        match text.split_once('.') {
            Some((given, suffix)) if !suffix.is_empty() && suffix.bytes().all(allowed) => {
                given.parse::<Self>().map(|_| Self(text.into())).map_err(|_| InvalidName(text.to_owned()))
            }
            Some(_) => Err(InvalidName(text.to_owned())),
            None => text.parse(),
        }
    }
}

fn allowed(c: u8) -> bool {
    c.is_ascii_alphanumeric() || c == b'-' || c == b'_'
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let fine = (1..=Self::MAX_LENGTH).contains(&text.len()) && text.bytes().all(allowed);
        let begins_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if fine && begins_well && !text.starts_with(Self::REVISION_PREFIX) {
            Ok(Self(text.into()))
        } else {
            Err(InvalidName(text.to_owned()))
        }
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_traefik(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A text that is not a [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a name: use 1 to {max} letters, digits, '-' and '_', beginning with a letter or digit and not with \
     'rev-'",
    max = Name::MAX_LENGTH
)]
pub struct InvalidName(pub(crate) String);

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("tcp", true)]
    #[case("b-10-0-0-1-3333", true)]
    #[case("0", true)]
    #[case("webSecure_1", true)]
    #[case("", false)]
    #[case("-a", false)]
    #[case("_a", false)]
    #[case("a@rest", false)]
    #[case("a b", false)]
    #[case("a/b", false)]
    #[case("rev-0123", false)]
    #[case("a.b", false)]
    #[case("ä", false)]
    #[case("0123456789012345678901234567890123456789012345678901234567890123", false)]
    fn a_name_exists_only_if_it_is_valid(#[case] text: &str, #[case] valid: bool) {
        assert_eq!(text.parse::<Name>().is_ok(), valid);
    }

    #[rstest]
    #[case("default.10-0-1-4-3333", true)]
    #[case("default.", false)]
    #[case("default.a@b", false)]
    #[case(".a", false)]
    #[case("a@rest", false)]
    #[case("rev-0123", false)]
    fn a_name_is_read_back_only_if_this_crate_could_have_written_it(#[case] text: &str, #[case] valid: bool) {
        assert_eq!(serde_json::from_value::<Name>(text.into()).is_ok(), valid);
    }
}
