//! The limit on pushes for balance.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::budget::Budget;

/// Limits how often a pool is pushed for balance, by how long its pushes take.
///
/// Pushes are spaced by a period that keeps them within the budget on average. A few may follow each other sooner,
/// because what they repair comes irregularly.
#[derive(Debug)]
pub(crate) struct PushLimit {
    budget: Budget,
    /// Durations of the last pushes, newest first.
    recent: VecDeque<Duration>,
    /// Moment at which the last push would have started if all were spaced by the period.
    spaced: Option<Instant>,
}

/// Period between pushes divided by the cost of one: pushes take at most 1/20 of the time. A push of 10 backends takes
/// 2.4 ms, and Traefik computes for about as long. This bounds what many backends cost, since a push of more backends
/// takes longer; with few of them, counting costs more.
const PERIOD_PER_PUSH_COST: u32 = 20;

/// Maximum period between two pushes, however much they cost.
const MAX_PERIOD: Duration = Duration::from_secs(10);

/// Minimum time from the start of one push to the start of the next.
const MIN_GAP: Duration = Duration::from_millis(10);

/// Number of pushes by which a burst may be ahead of the budget: with fewer, the imbalance grows by a tenth (lives of
/// 6 s, 30 connections each, in the simulation).
const MAX_BURST: u32 = 16;

/// Number of pushes among which the quickest one is looked for.
const RECENT_PUSHES: usize = 16;

impl PushLimit {
    pub(crate) fn new() -> Self {
        let recent = VecDeque::with_capacity(RECENT_PUSHES);
        Self { budget: Budget::new(PERIOD_PER_PUSH_COST, MIN_GAP, MAX_PERIOD), recent, spaced: None }
    }

    /// Takes in a push that ended at `now`, and its duration.
    pub(crate) fn pushed(&mut self, took: Duration, now: Instant) {
        self.recent.truncate(RECENT_PUSHES - 1);
        self.recent.push_front(took);
        // Waiting costs nothing: on a busy machine the quickest of the last pushes is nearest to what a push computes.
        self.budget.spent(self.recent.iter().min().copied().unwrap_or(took));
        let start = now.checked_sub(took).unwrap_or(now);
        self.spaced = Some(self.spaced.map_or(start, |spaced| (spaced + self.period()).max(start)));
    }

    /// Returns the earliest start of the next push after one that ended at `ended` and took this long.
    pub(crate) fn next(&self, ended: Instant, took: Duration) -> Instant {
        let start = ended.checked_sub(took).unwrap_or(ended);
        let within_budget = self.spaced.map_or(start, |spaced| {
            let credit = self.period() * (MAX_BURST - 1);
            (spaced + self.period()).checked_sub(credit).unwrap_or(start)
        });
        within_budget.max(start + MIN_GAP)
    }

    /// Returns the mean time from the start of one push to the start of the next that the budget allows.
    pub(crate) fn period(&self) -> Duration {
        self.budget.period()
    }
}
