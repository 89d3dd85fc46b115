use std::{fmt, sync::Arc};

use crate::selector::is_name;

/// The name of a failure domain, such as `eu-central-1a`: what `topology.kubernetes.io/zone` calls it.
///
/// It has the form of a label value (1 to 63 letters, digits, `-`, `_` and `.`), so that it can be written anywhere.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zone(Arc<str>);

impl Zone {
    /// `name`, if it has the form of a label value and is not empty.
    pub fn new(name: &str) -> Option<Self> {
        is_name(name).then(|| Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

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
        assert_eq!(Zone::new("eu-1a").unwrap().as_str(), "eu-1a");
        for bad in ["", "a b", "-a", "`host`", &"a".repeat(64)] {
            assert_eq!(Zone::new(bad), None, "{bad}");
        }
    }
}
