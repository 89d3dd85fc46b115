//! The load of backends at one moment, and the connections that ended before it.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use crate::method::Method;

/// Maximum number of [endings](Sample::endings) in a sample. Further ones are only counted in [`Load::closed`].
pub const MAX_ENDINGS_PER_SAMPLE: usize = 4096;

/// The load of every backend at one moment, and the connections that ended since the sample before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    loads: BTreeMap<SocketAddr, Load>,
    endings: Vec<Ending>,
    unseen: u32,
    cost: Duration,
    method: Option<Method>,
}

/// The load of one backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Load {
    /// Number of established connections.
    pub established: u32,
    /// Number of connections of which one side has ended its half while a process still uses the other: a client that
    /// has sent everything and waits for the answer, for example. They count as load.
    pub half_closed: u32,
    /// Number of connections that the backend has not answered yet (SYN-SENT). They count as load: otherwise a backend
    /// that drops packets would look like the least loaded one.
    pub opening: u32,
    /// Number of connections that were not there in the sample before. Zero in the first sample, whose connections may
    /// be of any age.
    pub opened: u32,
    /// Number of connections that have ended since the sample before.
    pub closed: u32,
    /// Bytes of data received from and acknowledged by the backend, summed over its present connections; 0 where the
    /// kernel does not report it.
    pub bytes: u64,
    /// Bytes of data received from and acknowledged by the backend since the sample before, also on connections that have
    /// ended. Where the kernel announces ends, they are seen when the table is read again, or when the connection ends; 0
    /// where the kernel does not report them.
    pub moved: u64,
    /// Number of segments sent again, summed over its present connections; 0 where the kernel does not report it.
    pub retransmits: u64,
    /// Mean of the smoothed round-trip times of its established connections; `None` without any, and where the kernel
    /// does not report it.
    pub rtt: Option<Duration>,
    /// Time since the oldest of the opening connections was first seen opening; `None` if none is opening.
    pub oldest_opening: Option<Duration>,
}

/// The end of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ending {
    /// The backend that it was opened to.
    pub backend: SocketAddr,
    /// Time that it lived, as far as it was seen: the truth may be longer.
    pub age: Duration,
    /// Bytes of data received from the backend; 0 where the kernel does not report it.
    pub received: u64,
    /// The side that ended it.
    pub by: EndedBy,
    /// The [cookie](crate::Connection::cookie) with which it was described, if it was.
    pub cookie: Option<u64>,
}

/// The side that ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndedBy {
    /// The backend closed or reset it before this side did.
    Backend,
    /// The proxy, which is this side, closed it first.
    Proxy,
    /// Neither: it was never established, because the attempt was refused or timed out.
    NeverAnswered,
    /// Not known, because its end was not seen.
    Unknown,
}

impl Load {
    /// Returns the number of connections: established, half-closed and opening.
    pub fn connections(&self) -> u32 {
        self.established.saturating_add(self.half_closed).saturating_add(self.opening)
    }
}

impl Ending {
    /// Creates the end of a connection to `backend` that lived for `age`, and in which the backend sent `received`
    /// bytes.
    pub fn new(backend: SocketAddr, age: Duration, received: u64, by: EndedBy) -> Self {
        Self { backend, age, received, by, cookie: None }
    }

    /// Sets the cookie of the connection.
    #[must_use]
    pub fn with_cookie(self, cookie: u64) -> Self {
        Self { cookie: Some(cookie), ..self }
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

    /// Returns the connections that ended since the sample before, in the order in which their ends were seen. There are
    /// at most [`MAX_ENDINGS_PER_SAMPLE`].
    pub fn endings(&self) -> &[Ending] {
        &self.endings
    }

    /// Sets the connections that ended since the sample before; those beyond [`MAX_ENDINGS_PER_SAMPLE`] are left out.
    #[must_use]
    pub fn with_endings(mut self, endings: impl IntoIterator<Item = Ending>) -> Self {
        self.endings = endings.into_iter().take(MAX_ENDINGS_PER_SAMPLE).collect();
        self
    }

    /// Leaves out the endings that say nothing about their backends, such as those of connections that were closed on
    /// purpose. [`Load::closed`] counts them all the same.
    pub fn retain_endings(&mut self, is_telling: impl FnMut(&Ending) -> bool) {
        self.endings.retain(is_telling);
    }

    /// Returns an estimate of the connections that have opened to these backends and are in no load, because where they
    /// went is not known yet. A later sample has them.
    pub fn unseen(&self) -> u32 {
        self.unseen
    }

    /// Sets the number of connections that have opened and are in no load.
    #[must_use]
    pub fn with_unseen(mut self, unseen: u32) -> Self {
        self.unseen = unseen;
        self
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

    /// Returns the way in which the kernel's sockets were read; `None` if the sample is not from there.
    pub fn method(&self) -> Option<Method> {
        self.method
    }

    /// Sets the way in which the kernel's sockets were read.
    #[must_use]
    pub fn with_method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }
}

impl FromIterator<(SocketAddr, Load)> for Sample {
    fn from_iter<I: IntoIterator<Item = (SocketAddr, Load)>>(loads: I) -> Self {
        Self { loads: loads.into_iter().collect(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_endings_of_a_sample_are_bounded() {
        let ending = Ending::new("10.0.0.1:80".parse().unwrap(), Duration::ZERO, 0, EndedBy::Unknown);
        let sample = Sample::default().with_endings(std::iter::repeat_n(ending, MAX_ENDINGS_PER_SAMPLE + 1));
        assert_eq!(sample.endings().len(), MAX_ENDINGS_PER_SAMPLE);
    }
}
