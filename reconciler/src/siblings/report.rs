//! Reports: how replicas tell each other of their connections.

use std::{collections::BTreeMap, fmt, net::SocketAddr, str::FromStr, sync::Arc, time::Duration};

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

/// Writes the identity as a UUID is written.
impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let groups: Vec<&str> = GROUPS.iter().map(|(from, to)| &digits[*from..*to]).collect();
        f.pad(&groups.join("-"))
    }
}

/// Digits of each group of a UUID.
const GROUPS: [(usize, usize); 5] = [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)];

/// Text that is not the identity of a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidReplicaId(());

impl fmt::Display for InvalidReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the identity of a replica is written as a UUID, 32 hexadecimal digits in groups of 8, 4, 4, 4 and 12",
        )
    }
}

impl std::error::Error for InvalidReplicaId {}

impl FromStr for ReplicaId {
    type Err = InvalidReplicaId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lengths = text.split('-').map(str::len);
        let is_hex = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
        if !is_hex || !lengths.eq(GROUPS.iter().map(|(from, to)| to - from)) {
            return Err(InvalidReplicaId(()));
        }
        u128::from_str_radix(&text.replace('-', ""), 16).map(Self).map_err(|_| InvalidReplicaId(()))
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
    /// Connections by backend. One without an entry has none. Reports between which nothing has changed may share them, which
    /// makes such a one cheap to take in.
    pub connections: Arc<BTreeMap<SocketAddr, u32>>,
    /// Number of connections of the pool that the replica has closed on purpose since it started, while their backends
    /// stayed. Their clients may come back through any replica.
    pub closed_on_purpose: u64,
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
        let connections = Arc::new(connections.into_iter().collect());
        Self { replica, sample, age, opened, connections, closed_on_purpose: 0 }
    }

    /// Replaces the connections, which other reports may share.
    #[must_use]
    pub fn with_connections(self, connections: Arc<BTreeMap<SocketAddr, u32>>) -> Self {
        Self { connections, ..self }
    }

    /// Replaces the number of connections that the replica has closed on purpose.
    #[must_use]
    pub fn with_closed_on_purpose(self, closed_on_purpose: u64) -> Self {
        Self { closed_on_purpose, ..self }
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

impl Ignored {
    /// All causes as words, in the order of the variants.
    pub const NAMES: [&'static str; 6] =
        ["not_sharing", "own", "old", "overtaken", "too_many_backends", "too_many_siblings"];

    /// Returns the cause as one word.
    pub fn name(self) -> &'static str {
        let [not_sharing, own, old, overtaken, too_many_backends, too_many_siblings] = Self::NAMES;
        match self {
            Self::NotSharing => not_sharing,
            Self::Own => own,
            Self::Old => old,
            Self::Overtaken => overtaken,
            Self::TooManyBackends => too_many_backends,
            Self::TooManySiblings => too_many_siblings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_written_as_a_uuid_and_nothing_else_is_one() {
        let id = ReplicaId::new(0x8f14_e45f_ceea_467f_a8c1_0d2a_6d3c_9b01);
        assert_eq!(id.to_string(), "8f14e45f-ceea-467f-a8c1-0d2a6d3c9b01");
        for id in [id, ReplicaId::new(0), ReplicaId::new(u128::MAX)] {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for text in ["", "8f14e45f", "8f14e45fceea467fa8c10d2a6d3c9b01", "+f14e45f-ceea-467f-a8c1-0d2a6d3c9b01"] {
            assert!(text.parse::<ReplicaId>().is_err(), "{text}");
        }
    }
}
