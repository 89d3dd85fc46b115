//! Receivers of a configuration, and the proof that they have it in force.

use std::time::Duration;

use async_trait::async_trait;

use crate::{
    Configuration, Error, Revision,
    process::{StartDate, Version},
};

/// A receiver of configurations, such as [`Traefik`](crate::Traefik) or [`Fleet`](crate::Fleet).
#[cfg_attr(any(test, feature = "test-util"), mockall::automock)]
#[async_trait]
pub trait ConfigSink: Send + Sync + 'static {
    /// Puts `configuration` in force and proves it.
    ///
    /// Returns `Ok` only if its revision was read back as being in force, with each router enabled and each service with
    /// its servers, from one process that ran from the start to the end of this call.
    async fn apply(&self, configuration: &Configuration) -> Result<Applied, Error>;

    /// Checks with few requests that the proof of [`apply`](Self::apply) is still valid: the same process still has the
    /// same revision in force.
    async fn verify(&self, applied: &Applied) -> Result<(), Error>;
}

/// The proof that a configuration is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// Revision that is in force.
    pub revision: Revision,
    /// Host and port of the Traefik; `None` from a sink without an address, such as a fake.
    pub instance: Option<String>,
    /// Start of the Traefik process.
    pub started: StartDate,
    /// Version of the Traefik process.
    pub version: Version,
    /// Time from the call to the proof.
    pub took: Duration,
    /// Part of `took` between Traefik's acceptance of the configuration and its being in force: its throttle and its
    /// own work.
    pub waited: Duration,
    /// Outcome of each *other* instance of a fleet at that moment, by host and port.
    pub others: Vec<(String, Result<Applied, Error>)>,
}

impl Applied {
    /// Creates a proof, for implementations of [`ConfigSink`] and tests.
    pub fn new(revision: Revision, started: StartDate, version: Version, took: Duration) -> Self {
        Self { revision, instance: None, started, version, took, waited: Duration::ZERO, others: Vec::new() }
    }
}
