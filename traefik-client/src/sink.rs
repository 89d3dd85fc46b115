//! Receivers of a configuration, and the proof that they have it in force.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;

use crate::{
    Configuration, Error, Member, Name, Revision,
    process::{StartDate, Version},
};

/// A receiver of configurations, such as [`Traefik`](crate::Traefik) or [`Fleet`](crate::Fleet).
#[cfg_attr(any(test, feature = "test-util"), mockall::automock)]
#[async_trait]
pub trait ConfigSink: Send + Sync + 'static {
    /// Puts `configuration` in force and proves it.
    ///
    /// Returns `Ok` only if the revision was read back as being in force, from one process that ran from the start to the
    /// end of this call. Each router is enabled and its services have their servers, except for the routers that
    /// [`Applied::faults`] names. If that would be all of them, the result is an error.
    async fn apply(&self, configuration: &Configuration) -> Result<Applied, Error>;

    /// Checks with few requests that the proof of [`apply`](Self::apply) is still valid: the same process still has the
    /// same revision in force.
    async fn verify(&self, applied: &Applied) -> Result<(), Error>;

    /// Returns the members of each pool that is in force now, whoever has sent it, by name.
    ///
    /// A program that has just started needs them for the pools of which it does not know the members yet: what it applies
    /// replaces everything. A sink that cannot be read returns none, which is the default.
    async fn pools_in_force(&self) -> Result<BTreeMap<Name, Vec<Member>>, Error> {
        Ok(BTreeMap::new())
    }
}

/// The proof that a configuration is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// Revision that is in force: that of the configuration without the routers whose entry points are missing.
    pub revision: Revision,
    /// TCP routers that are not in force as they were configured, each with the reason. All others are.
    pub faults: BTreeMap<Name, Error>,
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
        let (faults, waited, others) = (BTreeMap::new(), Duration::ZERO, Vec::new());
        Self { revision, faults, instance: None, started, version, took, waited, others }
    }
}
