//! The failure domain of a backend.

use std::{fmt, str::FromStr, sync::Arc};

use crate::selector::{LABEL_VALUE_RULE, is_label_value};

/// Name of a failure domain, such as `eu-central-1a`: the value of the label `topology.kubernetes.io/zone`.
///
/// It has the form of a label value (1 to 63 letters, digits, `-`, `_` and `.`), so that it can be written anywhere.
///
/// ```
/// use ilb_discovery::Zone;
///
/// assert_eq!("eu-central-1a".parse::<Zone>()?.as_str(), "eu-central-1a");
/// assert!("a zone".parse::<Zone>().is_err());
/// # Ok::<(), ilb_discovery::errors::InvalidZone>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zone(Arc<str>);

impl Zone {
    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Zone {
    type Err = InvalidZone;

    fn from_str(name: &str) -> Result<Self, InvalidZone> {
        if is_label_value(name) { Ok(Self(name.into())) } else { Err(InvalidZone(name.to_owned())) }
    }
}

/// Error of a text that is not a [`Zone`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a zone: a zone has the form of a label value ({LABEL_VALUE_RULE})")]
pub struct InvalidZone(String);

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_has_the_form_of_a_label_value() {
        assert_eq!("eu-1a".parse::<Zone>().unwrap().as_str(), "eu-1a");
        for bad in ["", "a b", "-a", "`host`", &"a".repeat(64)] {
            assert!(
                bad.parse::<Zone>().unwrap_err().to_string().starts_with(&format!("{bad:?} is not a zone")),
                "{bad}"
            );
        }
    }
}
