//! The fixed part of a pool: everything but its backends.

use ilb_discovery::{Backend, BackendSet, Capacity};
use ilb_traefik_client::{Name, ProxyProtocol, Timeouts};

/// Describes a pool without its backends: its name, its entry point, and how Traefik treats its connections.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PoolSpec {
    /// The name, which is also that of Traefik's router and service.
    pub name: Name,
    /// The entry point of Traefik on which clients connect.
    pub entry_point: Name,
    /// Traefik's time limits for dialling backends and for half-closed connections.
    pub timeouts: Timeouts,
    /// The version of the PROXY protocol with which Traefik tells a backend the client's address; `None` for none.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// How many shares of the connections each backend takes.
    pub shares: Shares,
}

/// Where the shares of the backends come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shares {
    /// Each backend takes as many as its capacity, which discovery knows.
    #[default]
    ByCapacity,
    /// Each backend takes one.
    Equal,
}

impl PoolSpec {
    /// Creates the description of a pool with Traefik's default time limits, without PROXY protocol, and with shares by
    /// capacity.
    pub fn new(name: Name, entry_point: Name) -> Self {
        let (timeouts, shares) = (Timeouts::default(), Shares::default());
        Self { name, entry_point, timeouts, proxy_protocol: None, shares }
    }

    /// Replaces the time limits.
    #[must_use]
    pub fn with_timeouts(self, timeouts: Timeouts) -> Self {
        Self { timeouts, ..self }
    }

    /// Replaces the version of the PROXY protocol.
    #[must_use]
    pub fn with_proxy_protocol(self, proxy_protocol: Option<ProxyProtocol>) -> Self {
        Self { proxy_protocol, ..self }
    }

    /// Replaces the source of the shares.
    #[must_use]
    pub fn with_shares(self, shares: Shares) -> Self {
        Self { shares, ..self }
    }
}

impl Shares {
    /// Returns `set` with the capacities that count.
    pub(crate) fn apply(self, set: &BackendSet) -> Option<BackendSet> {
        let one_share = |backend: &Backend| backend.clone().with_capacity(Capacity::default());
        (self == Self::Equal).then(|| set.iter().map(one_share).collect())
    }
}
