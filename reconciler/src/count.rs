//! The counts that decisions are made from.

use std::time::Duration;

/// The connections of one backend, as one sample saw them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Connections, established and opening.
    pub connections: u32,
    /// Connections among them that were not there in the sample before.
    pub opened: u32,
    /// How long the oldest dial has been without an answer.
    pub oldest_opening: Option<Duration>,
}
