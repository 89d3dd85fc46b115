//! The pace of the questions to one sibling.

use std::time::{Duration, Instant};

use ilb_reconciler::Budget;

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

/// Mean time between two questions to one sibling, divided by what a round would cost if all answered like it. Whatever each
/// costs, all together cost 1/800 of a core, and as much is spent on the questions of the others.
const PERIOD_PER_COST: u32 = 800;

/// Minimum of the mean time between two questions to one sibling. Where many connections open and end, counts that are fresher
/// gain at most half a percent of imbalance; where few do, a question after a pause is answered at the next change.
pub(super) const MIN_PERIOD: Duration = Duration::from_millis(250);

/// Maximum of the mean time between two questions to one sibling. Longer ones cost more than a percent of imbalance.
pub(super) const MAX_PERIOD: Duration = Duration::from_secs(1);

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
