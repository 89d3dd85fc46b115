use std::time::Duration;

use async_trait::async_trait;

use crate::{Configuration, Error, Revision};

/// Something that can be made to follow a configuration, such as [`Traefik`](crate::Traefik) or
/// [`Fleet`](crate::Fleet).
#[cfg_attr(any(test, feature = "test-util"), mockall::automock)]
#[async_trait]
pub trait ConfigSink: Send + Sync + 'static {
    /// Makes `configuration` the one in force. `Ok` only when reading back proves its revision in force, each router
    /// enabled and each service with its servers, in a process that ran from the start to the end of this call.
    async fn apply(&self, configuration: &Configuration) -> Result<Applied, Error>;

    /// Proves again, cheaply, that what [`apply`](Self::apply) proved still holds: the same process, the same revision.
    async fn verify(&self, applied: &Applied) -> Result<(), Error>;
}

/// The proof that a configuration is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// What is in force.
    pub revision: Revision,
    /// Which Traefik, by host and port; empty where there is only one.
    pub instance: String,
    /// When the Traefik process started, as it says it itself: tells one process from its successor.
    pub started: String,
    /// Traefik's version.
    pub version: String,
    /// From the call to the proof.
    pub took: Duration,
    /// How much of it Traefik had accepted the configuration and not put it in force yet: its throttle, and its work.
    pub waited: Duration,
    /// Of a fleet, the outcome of each *other* instance at that moment.
    pub others: Vec<(String, Result<Applied, Error>)>,
}

impl Applied {
    /// A proof, for implementations of [`ConfigSink`] and tests.
    pub fn new(revision: Revision, started: String, version: String, took: Duration) -> Self {
        Self { revision, instance: String::new(), started, version, took, waited: Duration::ZERO, others: Vec::new() }
    }
}
