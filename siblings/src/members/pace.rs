//! The pace of the questions to one sibling.

use std::time::{Duration, Instant};

use ilb_reconciler::Budget;

use super::{MAX_PERIOD, MIN_PERIOD, PERIOD_PER_COST};

/// Limits how often a sibling is asked, by what its answers cost.
///
/// Questions are spaced by a period on average. A few may follow each other sooner: an answer waits for a change, and changes
/// come irregularly.
#[derive(Debug)]
pub(super) struct Pace {
    budget: Budget,
    /// Moment at which the last question would have been asked if all were spaced by the period.
    spaced: Option<Instant>,
}

/// Number of questions by which a burst may be ahead of the others.
const MAX_BURST: u32 = 4;

/// Minimum time between two questions. What changes within that time is one piece of news.
pub(super) const MIN_GAP: Duration = Duration::from_millis(50);

impl Pace {
    pub(super) fn new() -> Self {
        Self { budget: Budget::new(PERIOD_PER_COST, MIN_PERIOD, MAX_PERIOD), spaced: None }
    }

    /// Takes in a question that was asked at `started`, and what it would cost if all answered like that.
    pub(super) fn asked(&mut self, started: Instant, cost: Duration) {
        self.budget.spent(cost);
        let spaced = self.spaced.map_or(started, |spaced| spaced + self.budget.period());
        self.spaced = Some(spaced.max(started));
    }

    /// Returns the time from the last question, which was asked at `started`, to the next one.
    pub(super) fn pause(&self, started: Instant) -> Duration {
        let period = self.budget.period();
        let ahead = self.spaced.map_or(Duration::ZERO, |spaced| spaced.saturating_duration_since(started));
        (ahead + period).saturating_sub(period * (MAX_BURST - 1)).max(MIN_GAP)
    }
}
