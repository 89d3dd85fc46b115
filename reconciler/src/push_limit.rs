//! The limit on pushes for balance.

use std::{collections::VecDeque, time::Duration};

use crate::budget::Budget;

/// Limits how often a pool is pushed for balance, by how long its pushes take.
#[derive(Debug)]
pub(crate) struct PushLimit {
    budget: Budget,
    /// Durations of the last pushes, newest first.
    recent: VecDeque<Duration>,
}

/// Period between pushes divided by the cost of one: pushes take at most 1/20 of the time. A push of 10 backends takes
/// 2.4 ms, and Traefik computes for about as long. This bounds what many backends cost, since a push of more backends
/// takes longer; with few of them, counting costs more.
const PERIOD_PER_PUSH_COST: u32 = 20;

/// Maximum period between two pushes, however much they cost.
const MAX_PERIOD: Duration = Duration::from_secs(10);

/// Number of pushes among which the quickest one is looked for.
const RECENT_PUSHES: usize = 16;

impl PushLimit {
    pub(crate) fn new() -> Self {
        let recent = VecDeque::with_capacity(RECENT_PUSHES);
        Self { budget: Budget::new(PERIOD_PER_PUSH_COST, MAX_PERIOD), recent }
    }

    /// Takes in the duration of a push.
    pub(crate) fn pushed(&mut self, took: Duration) {
        self.recent.truncate(RECENT_PUSHES - 1);
        self.recent.push_front(took);
        // Waiting costs nothing: on a busy machine the quickest of the last pushes is nearest to what a push computes.
        self.budget.spent(self.recent.iter().min().copied().unwrap_or(took));
    }

    /// Returns the minimum time from the start of one push to the start of the next.
    pub(crate) fn period(&self) -> Duration {
        self.budget.period()
    }
}
