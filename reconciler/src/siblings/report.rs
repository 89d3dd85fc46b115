//! Reports: how replicas tell each other of their connections.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

/// Identity of a replica. It is drawn at random when the process starts, so a replica that restarts is another one.
///
/// Replicas have an order, the same for all of them, by which [`portion`](super::portion) shares out what is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(u128);

impl ReplicaId {
    /// Creates an identity from a number that no other replica has, such as a random UUID.
    pub const fn new(number: u128) -> Self {
        Self(number)
    }

    /// Returns the number.
    pub const fn get(self) -> u128 {
        self.0
    }
}

/// Connections that one replica carries, as it counted them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Identity of the replica.
    pub replica: ReplicaId,
    /// Number of its sample: the same one is no news, and a lower one was overtaken by another report.
    pub sample: u64,
    /// Time since it counted, including the way of the report. No clocks are compared: it is the age by the clock of the
    /// replica when it answers, and half of the round trip.
    pub age: Duration,
    /// Number of connections of the pool that have opened since the replica started.
    pub opened: u64,
    /// Connections by backend. One without an entry has none.
    pub connections: BTreeMap<SocketAddr, u32>,
}

impl Report {
    /// Creates the report of a sample that was taken `age` ago.
    pub fn new(
        replica: ReplicaId,
        sample: u64,
        age: Duration,
        opened: u64,
        connections: impl IntoIterator<Item = (SocketAddr, u32)>,
    ) -> Self {
        Self { replica, sample, age, opened, connections: connections.into_iter().collect() }
    }

    /// Adds the time that the report took on its way to its age.
    #[must_use]
    pub fn delayed(self, by: Duration) -> Self {
        Self { age: self.age.saturating_add(by), ..self }
    }
}

/// Effect of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heard {
    /// The sibling is new, or its connections differ from those of its last report.
    News,
    /// The sibling has counted again, and its connections are the same.
    Unchanged,
    /// The sibling has not counted since its last report.
    Repeated,
    /// The report was ignored.
    Ignored(Ignored),
}

/// Cause for which a report is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ignored {
    /// The balancer has no identity, so it shares with no replica.
    NotSharing,
    /// The report is that of the balancer itself.
    Own,
    /// The counts are older than [`SILENT_AFTER`](super::SILENT_AFTER).
    Old,
    /// A later sample of the same replica is known already.
    Overtaken,
    /// The report names more than [`MAX_BACKENDS`](super::MAX_BACKENDS).
    TooManyBackends,
    /// [`MAX_SIBLINGS`](super::MAX_SIBLINGS) are heard already.
    TooManySiblings,
}
