//! Revisions of configurations.

use std::{fmt, fmt::Write as _};

use sha2::{Digest, Sha256};

use crate::Name;

/// Hash of a configuration, whose read-back from Traefik proves that this configuration is in force.
///
/// It is sent as the name of a service that no router uses. Traefik lists such a service exactly as long as the
/// configuration that contains it is in force.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(Name);

impl Revision {
    /// Returns the name of the service that marks the revision.
    pub fn name(&self) -> &Name {
        &self.0
    }

    /// Returns a placeholder of the same length as each marker.
    pub(crate) fn zero() -> Self {
        Self(Name::derived(&format!("{}{}", Name::REVISION_PREFIX, "0".repeat(2 * HASH_BYTES))))
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let mut name = String::from(Name::REVISION_PREFIX);
        for byte in &Sha256::digest(bytes)[..HASH_BYTES] {
            let _ = write!(name, "{byte:02x}");
        }
        Self(Name::derived(&name))
    }
}

const HASH_BYTES: usize = 8;

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.as_str().trim_start_matches(Name::REVISION_PREFIX))
    }
}
