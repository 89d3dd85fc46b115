use std::{fmt, net::SocketAddr};

use crate::Zone;

/// Whether a backend may take connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum State {
    /// Takes new connections.
    Ready,
    /// Leaving: takes no new connections, the old ones live.
    Draining,
    /// Known, but not able to serve now.
    NotReady,
}

impl State {
    /// The name used in logs, metrics and documents.
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

/// One address that can take connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Backend {
    address: SocketAddr,
    state: State,
    capacity: Capacity,
    zone: Option<Zone>,
}

impl Backend {
    /// A backend with a capacity of 1 in no known zone.
    pub fn new(address: SocketAddr, state: State) -> Self {
        Self { address, state, capacity: Capacity::default(), zone: None }
    }

    /// The same backend with another capacity.
    #[must_use]
    pub fn with_capacity(mut self, capacity: Capacity) -> Self {
        self.capacity = capacity;
        self
    }

    /// The same backend in another zone.
    #[must_use]
    pub fn with_zone(mut self, zone: Option<Zone>) -> Self {
        self.zone = zone;
        self
    }

    /// Where connections go.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether it may take connections.
    pub fn state(&self) -> State {
        self.state
    }

    /// How many shares of the connections it takes relative to the others.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    /// The failure domain it runs in, where the source knows it.
    pub fn zone(&self) -> Option<&Zone> {
        self.zone.as_ref()
    }
}

/// How many shares of the connections a backend takes relative to the others: 1 to 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capacity(u8);

impl Capacity {
    /// The smallest and the largest capacity.
    pub const RANGE: std::ops::RangeInclusive<u8> = 1..=16;

    /// `shares`, if it lies in [`Capacity::RANGE`].
    pub fn new(shares: u8) -> Option<Self> {
        Self::RANGE.contains(&shares).then_some(Self(shares))
    }

    /// The number of shares.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for Capacity {
    /// One share.
    fn default() -> Self {
        Self(1)
    }
}
