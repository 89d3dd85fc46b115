//! When to count connections again.

use std::time::{Duration, Instant};

use crate::budget::Budget;

/// Chooses the moments of samples: as often as their cost allows, less often while nothing changes.
///
/// Holds the cost of the last samples, the moment of the last one, and how long the counts have been unchanged.
#[derive(Debug)]
pub(crate) struct Sampling {
    budget: Budget,
    longest_period: Duration,
    last: Option<Instant>,
    /// How many samples in a row saw no connection open or close.
    unchanged: u32,
}

/// The part of a core that samples may cost: one in 80, which is 1.25 %. With 1 % short lives are spread 1.6 times as
/// unevenly as by a proxy that counts itself (300 connections with lives of 6 s), with this 1.4 times.
const ONE_PART_IN: u32 = 80;

impl Sampling {
    pub(crate) fn new(shortest_period: Duration, longest_period: Duration) -> Self {
        let budget = Budget::new(ONE_PART_IN, shortest_period, longest_period);
        Self { budget, longest_period, last: None, unchanged: 0 }
    }

    /// Takes in that a sample ended at `now` and cost this much processor time.
    pub(crate) fn counted(&mut self, counts: Counts, cost: Duration, now: Instant) {
        self.unchanged = match counts {
            Counts::Changed => 0,
            Counts::Unchanged => self.unchanged.saturating_add(1),
        };
        self.budget.spent(cost);
        self.last = Some(now);
    }

    /// Takes in that counting failed at `now`.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// Returns the moment of the next sample while counting fails.
    pub(crate) fn next_try(&self, now: Instant) -> Instant {
        self.last.map_or(now, |last| last + self.longest_period)
    }

    /// Returns the moment of the next sample. `next_push` is the earliest moment of the next push for balance.
    pub(crate) fn next(&self, next_push: Option<Instant>, now: Instant) -> Instant {
        let Some(last) = self.last else { return now };
        // While nothing changes there is nothing to see: then a sample costs little more than a look at an empty table.
        let period = self.budget.period().saturating_mul(self.unchanged.saturating_add(1)).min(self.longest_period);
        let at = last + period;
        // Counts should be fresh when a push may be: better a little later than just before.
        match next_push {
            Some(push) if push > at && push < at + period => push,
            _ => at,
        }
    }
}

/// Whether a sample differs from the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    Changed,
    Unchanged,
}
