//! The description of a pool: everything but its backends.

use std::sync::Arc;

use ilb_discovery::{Backend, BackendSet, Capacity};
use ilb_traefik_client::{Name, ProxyProtocol, Timeouts};

/// Describes a pool without its backends: its name, its entry point, and how Traefik treats its connections.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PoolSpec {
    /// Name of the pool, and of Traefik's router and service for it.
    pub name: Name,
    /// Entry point of Traefik to which clients connect.
    pub entry_point: Name,
    /// Timeouts of Traefik for connecting to backends and for half-closed connections.
    pub timeouts: Timeouts,
    /// Version of the PROXY protocol by which Traefik passes the client's address to a backend; `None` for none.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Source of the number of shares that each backend takes.
    pub shares: Shares,
}

/// Source of the backends' shares of the connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shares {
    /// Each backend takes as many shares as its capacity, which discovery reports.
    #[default]
    ByCapacity,
    /// Each backend takes one share.
    Equal,
}

impl PoolSpec {
    /// Creates the description of a pool with Traefik's default timeouts, without PROXY protocol, and with shares by
    /// capacity.
    pub fn new(name: Name, entry_point: Name) -> Self {
        let (timeouts, shares) = (Timeouts::default(), Shares::default());
        Self { name, entry_point, timeouts, proxy_protocol: None, shares }
    }

    /// Replaces the timeouts.
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
    /// Returns `set` with the capacities that these shares give its backends.
    pub(crate) fn apply(self, set: Arc<BackendSet>) -> Arc<BackendSet> {
        let one_share = |backend: &Backend| backend.clone().with_capacity(Capacity::default());
        match self {
            Self::ByCapacity => set,
            Self::Equal => Arc::new(set.iter().map(one_share).collect()),
        }
    }
}
