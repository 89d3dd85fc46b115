//! Observations of backends: counts of connections, how connections ended, and results of probes.

use std::time::Duration;

/// Connections of one backend in one sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Connections: established, opening, and half-closed ones that are still in use.
    pub connections: u32,
    /// Connections that opened since the sample before, including those that have already ended.
    pub opened: u32,
    /// Age of the oldest connection attempt without a response.
    pub oldest_opening: Option<Duration>,
}

/// End of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Time from its opening to its end.
    pub age: Duration,
    /// Bytes of data that the backend sent.
    pub received: u64,
    /// Side that ended it.
    pub by: EndedBy,
}

/// Side that ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndedBy {
    /// The backend closed or reset the connection.
    Backend,
    /// The proxy closed the connection first, because its client did.
    Proxy,
    /// There never was a connection: the backend refused the attempt, or did not respond to it.
    NeverAnswered,
    /// It is not known which side ended the connection.
    Unknown,
}

/// Result of a probe: an attempt to connect to a backend that takes no part in the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// The backend accepted the connection and kept it open for a moment.
    Answered,
    /// The backend accepted the connection and closed it at once.
    Closed,
    /// The backend refused the connection, or did not accept it in time.
    Unanswered,
    /// The probe could not be made, for want of local ports, open files or memory. This says nothing about the backend.
    NotMade,
}

/// Urgency of a probe: a backend of which nothing is known yet goes before one that is known not to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeKind {
    /// The backend gets connections and there is a sign that it does not take them.
    First,
    /// The backend is left out, and the probe looks whether it answers again.
    Again,
}
