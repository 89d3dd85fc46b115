//! One backend: its address, state, capacity and zone.

use std::{fmt, net::SocketAddr, sync::Arc, time::Instant};

use crate::{PodRef, Zone};

/// Ability of a backend to take connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum State {
    /// Takes new connections.
    Ready,
    /// Leaving: takes no new connections, and keeps those that it has.
    Draining,
    /// Exists, but cannot serve now.
    NotReady,
}

impl State {
    /// Returns the name used in logs, metrics and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::NotReady => "not ready",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Address that can take connections, with all that is known about it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Backend {
    address: SocketAddr,
    state: State,
    capacity: Capacity,
    zone: Option<Zone>,
    max_connections: Option<u32>,
    killed_at: Option<Instant>,
    pod: Option<Arc<PodRef>>,
    restarts: Option<u16>,
}

impl Backend {
    /// Creates a backend with a capacity of 1 in an unknown zone.
    pub fn new(address: SocketAddr, state: State) -> Self {
        Self {
            address,
            state,
            capacity: Capacity::default(),
            zone: None,
            max_connections: None,
            killed_at: None,
            pod: None,
            restarts: None,
        }
    }

    /// Replaces the capacity.
    #[must_use]
    pub fn with_capacity(mut self, capacity: Capacity) -> Self {
        self.capacity = capacity;
        self
    }

    /// Replaces the zone.
    #[must_use]
    pub fn with_zone(mut self, zone: Option<Zone>) -> Self {
        self.zone = zone;
        self
    }

    /// Replaces the maximum number of connections.
    #[must_use]
    pub fn with_max_connections(mut self, max_connections: Option<u32>) -> Self {
        self.max_connections = max_connections;
        self
    }

    /// Replaces the moment at which it will be killed.
    #[must_use]
    pub fn with_killed_at(mut self, killed_at: Option<Instant>) -> Self {
        self.killed_at = killed_at;
        self
    }

    /// Replaces the name of the pod behind it.
    #[must_use]
    pub fn with_pod(mut self, pod: Option<Arc<PodRef>>) -> Self {
        self.pod = pod;
        self
    }

    /// Replaces the number of restarts of its containers.
    #[must_use]
    pub fn with_restarts(mut self, restarts: Option<u16>) -> Self {
        self.restarts = restarts;
        self
    }

    /// Returns the address that connections go to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns whether connections may go there.
    pub fn state(&self) -> State {
        self.state
    }

    /// Returns the number of shares of the connections it takes relative to the others.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// Returns the failure domain it runs in, where the source knows that.
    pub fn zone(&self) -> Option<&Zone> {
        self.zone.as_ref()
    }

    /// Returns the number of connections that it should have at most, if it has a limit of its own.
    pub fn max_connections(&self) -> Option<u32> {
        self.max_connections
    }

    /// Returns the moment at which it will be killed, to about a second, where the source knows that.
    pub fn killed_at(&self) -> Option<Instant> {
        self.killed_at
    }

    /// Returns the name of the pod behind it, where the source knows that.
    pub fn pod(&self) -> Option<&Arc<PodRef>> {
        self.pod.as_ref()
    }

    /// Returns how often containers of its pod have been restarted, 65 535 at most, where the source knows that.
    pub fn restarts(&self) -> Option<u16> {
        self.restarts
    }
}

/// Number of shares of the connections that a backend takes relative to the others: 1 to 16.
///
/// ```
/// use ilb_discovery::Capacity;
///
/// assert_eq!(Capacity::try_from(3u8)?.get(), 3);
/// assert_eq!(Capacity::try_from(17u8).unwrap_err().to_string(), "17 is not a capacity: it must be 1 to 16");
/// # Ok::<(), ilb_discovery::errors::InvalidCapacity>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capacity(u8);

impl Capacity {
    /// Smallest and largest capacity.
    pub const RANGE: std::ops::RangeInclusive<u8> = 1..=16;

    /// Returns the number of shares.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Capacity {
    type Error = InvalidCapacity;

    fn try_from(shares: u8) -> Result<Self, InvalidCapacity> {
        if Self::RANGE.contains(&shares) { Ok(Self(shares)) } else { Err(InvalidCapacity(shares)) }
    }
}

/// Error of a number that is not a [`Capacity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a capacity: it must be {start} to {end}", start = Capacity::RANGE.start(), end = Capacity::RANGE.end())]
pub struct InvalidCapacity(u8);

impl Default for Capacity {
    /// Returns one share.
    fn default() -> Self {
        Self(1)
    }
}
