//! The load of backends at one moment.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

/// The load of every backend at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    loads: BTreeMap<SocketAddr, Load>,
    cost: Duration,
}

/// The load of one backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Load {
    /// Number of established connections.
    pub established: u32,
    /// Number of connections that the backend has not answered yet (SYN-SENT). They count as load: otherwise a backend
    /// that drops packets would look like the least loaded one.
    pub opening: u32,
    /// Number of connections that were not there in the sample before. Zero in the first sample, whose connections may
    /// be of any age.
    pub opened: u32,
    /// Number of connections of the sample before that are no longer there.
    pub closed: u32,
    /// Bytes of data received from and acknowledged by the backend, summed over its present connections; 0 where the
    /// kernel does not report it.
    pub bytes: u64,
    /// Number of segments sent again, summed over its present connections; 0 where the kernel does not report it.
    pub retransmits: u64,
    /// Mean of the smoothed round-trip times of its established connections; `None` without any, and where the kernel
    /// does not report it.
    pub rtt: Option<Duration>,
    /// Time since the oldest of the opening connections was first seen opening; `None` if none is opening.
    pub oldest_opening: Option<Duration>,
}

impl Load {
    /// Returns the number of established and opening connections.
    pub fn connections(&self) -> u32 {
        self.established.saturating_add(self.opening)
    }
}

impl Sample {
    /// Returns the load of `backend`, which is zero if it is not in the sample.
    pub fn get(&self, backend: SocketAddr) -> Load {
        self.loads.get(&backend).copied().unwrap_or_default()
    }

    /// Iterates over the backends with a load, in the order of their addresses.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (SocketAddr, Load)> + '_ {
        self.loads.iter().map(|(address, load)| (*address, *load))
    }

    /// Returns the processor time that taking this sample cost; zero if it was not measured.
    pub fn cost(&self) -> Duration {
        self.cost
    }

    /// Sets the processor time that taking this sample cost.
    #[must_use]
    pub fn with_cost(mut self, cost: Duration) -> Self {
        self.cost = cost;
        self
    }
}

impl FromIterator<(SocketAddr, Load)> for Sample {
    fn from_iter<I: IntoIterator<Item = (SocketAddr, Load)>>(loads: I) -> Self {
        Self { loads: loads.into_iter().collect(), cost: Duration::ZERO }
    }
}
