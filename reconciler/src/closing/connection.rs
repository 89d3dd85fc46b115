//! Live connections, as samples show them.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::closing::order::{AnswerRule, Conditions};

/// A live connection to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Number that the kernel gives to no other socket.
    pub cookie: u64,
    /// Address of this side.
    pub local: SocketAddr,
    /// The backend.
    pub backend: SocketAddr,
    /// Moment at which it was first seen. It may be older.
    pub first_seen: Instant,
    /// Unset if the backend has not accepted it yet.
    pub is_established: bool,
    /// The side that the last data came from.
    pub answered: Answered,
    /// Time since data was sent or received.
    pub quiet: Duration,
    /// Set if no data waits in the kernel.
    pub has_empty_queues: bool,
}

/// Tells whether the last data on a connection came from the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answered {
    /// The last data came from the backend.
    Yes,
    /// The last data came from this side: a request may be in progress.
    No,
    /// Both sent data at the same time, or neither ever has.
    Unknown,
}

/// The connections of one backend in a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Connections in any state in which they are in use.
    pub connections: u32,
    /// Connections that opened since the sample before.
    pub opened: u32,
    /// Connections that ended since the sample before.
    pub closed: u32,
}

impl Connection {
    /// Returns `true` if it meets the conditions, as far as the sample shows.
    pub(crate) fn meets(&self, conditions: &Conditions) -> bool {
        let is_answered = match conditions.answer {
            AnswerRule::Answered => self.is_established && self.answered == Answered::Yes,
            AnswerRule::MaybeAnswered => self.is_established && self.answered != Answered::No,
            AnswerRule::Any => true,
        };
        is_answered && self.quiet >= conditions.quiet && (self.has_empty_queues || !conditions.empty_queues)
    }
}
