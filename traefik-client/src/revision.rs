use std::{fmt, fmt::Write as _};

use sha2::{Digest, Sha256};

use crate::{Configuration, LoadBalancer, Name, TcpService};

/// The hash of a configuration. Reading it back from Traefik proves that this configuration, and no other, is in force.
///
/// It travels as the name of a service that no router uses: Traefik lists such a service exactly while the configuration
/// that holds it is the one in force.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Revision(Name);

impl Revision {
    /// The first 64 bits of SHA-256 over the configuration's JSON, in which a marker does not count.
    pub fn of(configuration: &Configuration) -> Self {
        let mut hash = Hasher(Sha256::new());
        // Cannot fail: the hasher takes everything, and all keys of the model are texts.
        let written = serde_json::to_writer(&mut hash, configuration);
        debug_assert!(written.is_ok(), "{written:?}");
        let mut name = String::from(Name::REVISION_PREFIX);
        for byte in &hash.0.finalize()[..8] {
            let _ = write!(name, "{byte:02x}");
        }
        Self(Name::derived(name))
    }

    /// The name of the marking service.
    pub fn name(&self) -> &Name {
        &self.0
    }

    /// The marker itself: a service without servers, which costs Traefik nothing.
    pub(crate) fn marker() -> TcpService {
        TcpService::LoadBalancer(LoadBalancer::default())
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_start_matches(Name::REVISION_PREFIX))
    }
}

struct Hasher(Sha256);

impl std::io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
