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
    /// Established connections.
    pub established: u32,
    /// Connections that are being opened (SYN-SENT). They count as load: a backend that swallows packets would otherwise
    /// look like the least loaded one.
    pub opening: u32,
    /// Connections that were not there in the sample before. Zero in the first sample, whose connections may be of any
    /// age.
    pub opened: u32,
    /// Connections of the sample before that are not there any more.
    pub closed: u32,
    /// Bytes of data received from and acknowledged by the backend, over all its present connections; 0 where the
    /// kernel does not tell.
    pub bytes: u64,
    /// Segments sent again, over all its present connections; 0 where the kernel does not tell.
    pub retransmits: u64,
    /// The mean of the smoothed round-trip times of its established connections.
    pub rtt: Option<Duration>,
    /// How long the oldest of the opening connections has been seen opening.
    pub oldest_opening: Option<Duration>,
}

impl Load {
    /// Established and opening connections together.
    pub fn connections(&self) -> u32 {
        self.established.saturating_add(self.opening)
    }
}

impl Sample {
    /// The load of `backend`; zero for one that has no connection.
    pub fn get(&self, backend: SocketAddr) -> Load {
        self.loads.get(&backend).copied().unwrap_or_default()
    }

    /// All backends with a load, by address.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (SocketAddr, Load)> + '_ {
        self.loads.iter().map(|(address, load)| (*address, *load))
    }

    /// The processor time that this sample took; zero if it was not measured.
    pub fn cost(&self) -> Duration {
        self.cost
    }

    /// The same sample with what it cost.
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
