//! The budget of an activity: how often it may run, by what it was measured to cost.

use std::time::Duration;

/// Limits an activity to a fixed part of the time.
///
/// Holds a running mean of its cost. The period is a multiple of that mean, within bounds.
///
/// ```
/// use std::time::Duration;
///
/// use ilb_reconciler::Budget;
///
/// // At most a hundredth of the time, at least once a second, and at most 20 times a second.
/// let mut budget = Budget::new(100, Duration::from_millis(50), Duration::from_secs(1));
/// budget.spent(Duration::from_millis(2));
/// assert_eq!(budget.period(), Duration::from_millis(200));
/// ```
#[derive(Clone, Debug)]
pub struct Budget {
    /// The period divided by the mean cost: with 80, the activity takes at most 1/80 of the time.
    period_per_cost: u32,
    min_period: Duration,
    max_period: Duration,
    mean_cost: Option<Duration>,
}

/// The part of the old mean that a new cost replaces: one in 8.
const SMOOTHING: u32 = 8;

/// Cost below which a measured mean is taken for the resolution of the clock.
const MIN_COST: Duration = Duration::from_micros(10);

impl Budget {
    /// Creates a budget with a period of at least `min_period` and at most `max_period`, which wins if it is the shorter
    /// one. Until a cost is known, the period is the minimum.
    pub fn new(period_per_cost: u32, min_period: Duration, max_period: Duration) -> Self {
        Self { period_per_cost, min_period, max_period, mean_cost: None }
    }

    /// Takes in the cost of one more run. A single costly run, for example on a busy machine, changes little.
    pub fn spent(&mut self, cost: Duration) {
        self.mean_cost = Some(match self.mean_cost {
            None => cost,
            // A mean that is far too high has to fall quickly, because until then everything is slow. A clock that only
            // ticks now and then measures 0 for most runs, and must not make the first cost above that look like one.
            Some(mean) => {
                let cost = cost.min(mean.max(MIN_COST).saturating_mul(2));
                mean.saturating_mul(SMOOTHING - 1).saturating_add(cost) / SMOOTHING
            }
        });
    }

    /// Returns the time from one run to the next.
    pub fn period(&self) -> Duration {
        let affordable = self.mean_cost.unwrap_or_default().saturating_mul(self.period_per_cost);
        affordable.clamp(self.min_period.min(self.max_period), self.max_period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn period_after(costs: &[Duration]) -> Duration {
        let mut budget = Budget::new(100, 50 * MS, 1000 * MS);
        for cost in costs {
            budget.spent(*cost);
        }
        budget.period()
    }

    #[test]
    fn a_higher_cost_means_a_longer_period_within_the_bounds() {
        assert_eq!(period_after(&[]), 50 * MS);
        assert_eq!(period_after(&[MS / 10]), 50 * MS);
        assert_eq!(period_after(&[2 * MS]), 200 * MS);
        assert_eq!(period_after(&[MS * 30]), 1000 * MS);
    }

    #[test]
    fn one_costly_run_among_many_changes_little() {
        let mut costs = vec![MS; 20];
        costs.push(500 * MS);
        assert!(period_after(&costs) < 150 * MS);
    }

    #[test]
    fn a_lasting_change_of_the_cost_changes_the_period() {
        let mut costs = vec![MS; 20];
        costs.extend([5 * MS; 40]);
        assert!(period_after(&costs) > 450 * MS);
        costs.extend([MS; 40]);
        assert!(period_after(&costs) < 120 * MS);
    }

    #[test]
    fn a_clock_that_first_measured_nothing_does_not_hide_the_cost() {
        let mut costs = vec![Duration::ZERO];
        costs.extend([40 * MS; 120]);
        assert_eq!(period_after(&costs), 1000 * MS);
    }

    #[test]
    fn the_maximum_period_wins_over_the_minimum() {
        assert_eq!(Budget::new(100, 50 * MS, 10 * MS).period(), 10 * MS);
    }
}
