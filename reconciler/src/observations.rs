//! Observations of backends: counts of connections and results of probes.

use std::time::Duration;

/// Connections of one backend in one sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Connections, established and opening.
    pub connections: u32,
    /// Connections among them that were not there in the sample before.
    pub opened: u32,
    /// Age of the oldest connection attempt without a response.
    pub oldest_opening: Option<Duration>,
}

/// Result of a probe: an attempt to connect to a backend that takes no part in the counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// The backend accepted the connection.
    Answered,
    /// The backend refused the connection, or did not accept it in time.
    Unanswered,
}
