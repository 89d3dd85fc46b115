//! Decisions to close connections.

use std::time::Instant;

use crate::closing::{
    hold::Hold,
    order::{Order, Why},
    pauses::PauseReason,
};

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Connections to close now, all for one reason.
    pub orders: Vec<Order>,
    /// Set if the orders are only to be shown and counted. They have no result.
    pub is_dry_run: bool,
    /// The state of the pool.
    pub state: ClosingState,
    /// Moment at which another decision may differ without news.
    pub ask_again: Option<Instant>,
}

/// The state of a pool whose connections may be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosingState {
    /// No connection is to be closed.
    Idle,
    /// Connections would be closed, and this keeps it from that.
    Waiting(Hold),
    /// Connections are being closed.
    Closing {
        /// The reason.
        why: Why,
        /// Number of connections that are still to be closed.
        left: u64,
    },
    /// A closing went wrong; nothing is closed until then.
    Paused(PauseReason, Instant),
}

impl ClosingState {
    /// Names of all states.
    pub const NAMES: [&'static str; 4] = ["idle", "waiting", "closing", "paused"];

    /// Returns the name used in logs, metrics and documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Idle => Self::NAMES[0],
            Self::Waiting(_) => Self::NAMES[1],
            Self::Closing { .. } => Self::NAMES[2],
            Self::Paused(..) => Self::NAMES[3],
        }
    }
}
