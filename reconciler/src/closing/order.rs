//! Orders to close connections.

use std::{fmt, net::SocketAddr, time::Duration};

/// The reason to close a connection, the most urgent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Why {
    /// The backend no longer matches the selector.
    Role,
    /// The backend is leaving.
    Drain,
    /// The connection is too old.
    Age,
    /// The backend has more than its share, and others have room.
    Rebalance,
}

/// The order to close one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Number of this order among those of its pool, from 1.
    pub id: u64,
    /// The backend.
    pub backend: SocketAddr,
    /// Address of this side.
    pub local: SocketAddr,
    /// Number that the kernel gives to no other socket.
    pub cookie: u64,
    /// The way in which it is closed.
    pub how: How,
    /// Conditions that it has to meet just before.
    pub only_if: Conditions,
    /// The reason.
    pub why: Why,
}

/// The way in which a connection is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    /// Gently, as far as the closer can.
    Finish,
    /// Whatever is in progress is cut.
    Abort,
}

/// Conditions that a connection has to meet just before it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conditions {
    /// The side that the last data has to come from.
    pub answer: AnswerRule,
    /// Time for which neither side may have sent data.
    pub quiet: Duration,
    /// Set if no data may wait in the kernel.
    pub empty_queues: bool,
}

/// The side that the last data has to come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnswerRule {
    /// Certainly the backend.
    Answered,
    /// Not certainly this side.
    MaybeAnswered,
    /// Any.
    Any,
}

/// The outcome of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Done {
    /// The connection was closed.
    Closed,
    /// The connection has ended by itself.
    Gone,
    /// The connection did not meet the conditions, and lives.
    NotNow,
    /// The closer refused the order.
    Refused,
    /// The closer failed, or did not answer.
    Failed,
}

impl Conditions {
    /// No conditions.
    pub const NONE: Self = Self { answer: AnswerRule::Any, quiet: Duration::ZERO, empty_queues: false };

    /// Certainly answered, quiet for this time, and with empty queues.
    pub fn answered_and_quiet_for(quiet: Duration) -> Self {
        Self { answer: AnswerRule::Answered, quiet, empty_queues: true }
    }
}

impl Why {
    /// Returns the name used in logs, metrics and documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Drain => "drain",
            Self::Age => "age",
            Self::Rebalance => "rebalance",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
