//! A run: the closings of a pool for one reason, from the first to the last.

use std::time::Duration;

use ilb_reconciler::closing::{ClosingState, Hold, PauseReason, Verdict, Why};
use tokio::time::Instant;

use super::orders::ClosingResult;

/// The closings of a pool for one reason, from the first to the last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Run {
    /// The reason.
    pub why: Why,
    /// Set if orders are only shown.
    pub is_dry_run: bool,
    /// Moment at which it began.
    pub begun: Instant,
    /// Number of connections that were to be closed at its beginning.
    pub planned: u64,
    /// Number of connections of the pool at its beginning.
    pub connections: u64,
    /// Number of connections that were closed, or shown in a dry run.
    pub closed: u64,
    /// Number of orders that left a connection as it was, or found it ended.
    pub spared: u64,
}

impl Run {
    /// Creates a run that begins at this moment, with `planned` of `connections` to close.
    pub fn new(why: Why, (planned, connections): (u64, u64), begun: Instant) -> Self {
        Self { why, is_dry_run: false, begun, planned, connections, closed: 0, spared: 0 }
    }
}

/// The end of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunEnd {
    /// Nothing more is to be closed for this reason.
    Done,
    /// Something keeps the pool from closing more.
    Interrupted(Hold),
    /// A closing went wrong; nothing is closed until then.
    Paused(PauseReason, Instant),
    /// Another reason is more urgent, or it has become a dry run or is none any more.
    Replaced,
}

/// Follows the runs of a pool by its decisions.
#[derive(Debug, Default)]
pub(super) struct Runs {
    run: Option<Run>,
    /// Moment since which something has kept the present run from going on.
    interrupted: Option<Instant>,
}

/// A change of the run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RunChange {
    Began(Run),
    Ended(Run, RunEnd),
}

/// Time after which a run that cannot go on has ended. Much is in doubt for a moment again and again, such as a backend
/// that is probed.
const MAX_INTERRUPTION: Duration = Duration::from_secs(5);

impl Runs {
    /// Takes in a decision. Returns the changes, at most one end and one beginning.
    pub(super) fn decided(&mut self, verdict: &Verdict, connections: u64, now: Instant) -> Vec<RunChange> {
        let Verdict { orders, is_dry_run, state, .. } = verdict;
        let (is_dry_run, state) = (*is_dry_run, *state);
        let end = match state {
            ClosingState::Idle => Some(RunEnd::Done),
            ClosingState::Paused(reason, until) => Some(RunEnd::Paused(reason, until.into())),
            ClosingState::Closing { why, .. } => {
                self.interrupted = None;
                let is_same = |run: &Run| (run.why, run.is_dry_run) == (why, is_dry_run);
                self.run.as_ref().is_some_and(|run| !is_same(run)).then_some(RunEnd::Replaced)
            }
            ClosingState::Waiting(
                Hold::ClientsAway | Hold::NoCandidate | Hold::Crowded | Hold::OtherReason | Hold::Budget,
            ) => {
                self.interrupted = None;
                None
            }
            ClosingState::Waiting(hold) => {
                let since = *self.interrupted.get_or_insert(now);
                (now.duration_since(since) >= MAX_INTERRUPTION).then_some(RunEnd::Interrupted(hold))
            }
        };
        let mut changes = Vec::new();
        if let Some(end) = end {
            self.interrupted = None;
            changes.extend(self.run.take().map(|run| RunChange::Ended(run, end)));
        }
        if let (None, ClosingState::Closing { why, left }) = (&self.run, state)
            && left + number(orders.len()) > 0
        {
            let planned = left + number(orders.len());
            let run = Run { is_dry_run, ..Run::new(why, (planned, connections), now) };
            changes.push(RunChange::Began(run.clone()));
            self.run = Some(run);
        }
        changes
    }

    /// Returns `true` during a run that is no dry run.
    pub(super) fn is_closing(&self) -> bool {
        self.run.as_ref().is_some_and(|run| !run.is_dry_run)
    }

    /// Takes in what became of an order.
    pub(super) fn finished(&mut self, why: Why, result: &ClosingResult) {
        let Some(run) = self.run.as_mut().filter(|run| run.why == why) else { return };
        match result {
            ClosingResult::Closed | ClosingResult::Shown => run.closed += 1,
            ClosingResult::Gone | ClosingResult::NotNow(_) => run.spared += 1,
            ClosingResult::Refused(_) | ClosingResult::Failed(_) | ClosingResult::NotTried => {}
        }
    }

    /// Ends the present run, whatever its state.
    pub(super) fn end(&mut self) -> Option<RunChange> {
        self.run.take().map(|run| RunChange::Ended(run, RunEnd::Replaced))
    }
}

fn number(orders: usize) -> u64 {
    orders.try_into().unwrap_or(u64::MAX)
}
