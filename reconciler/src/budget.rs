use std::time::Duration;

/// How often something may be done, by what it was measured to cost.
///
/// Holds a running mean of the cost. The period is the one in which that cost is a given part of the time.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    /// The cost may be one part of this many.
    parts: u32,
    shortest: Duration,
    longest: Duration,
    mean: Option<Duration>,
}

impl Budget {
    /// At most one part in `parts` of the time, and neither below `shortest` nor above `longest`. Before anything was
    /// measured it is `shortest`.
    pub(crate) fn new(parts: u32, shortest: Duration, longest: Duration) -> Self {
        Self { parts, shortest: shortest.min(longest), longest, mean: None }
    }

    /// It was done once more, at this cost. A single costly time, such as one in which the machine was busy, counts little.
    pub(crate) fn spent(&mut self, cost: Duration) {
        const WEIGHT: u32 = 8;
        self.mean = Some(match self.mean {
            None => cost,
            // A mean that is far too high must not take long to come down, for that is how long all is slow.
            Some(mean) => (mean * (WEIGHT - 1) + cost.min(mean * 2)) / WEIGHT,
        });
    }

    /// The time from one to the next.
    pub(crate) fn period(&self) -> Duration {
        let affordable = self.mean.unwrap_or_default().saturating_mul(self.parts);
        affordable.clamp(self.shortest, self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn pace(costs: &[Duration]) -> Duration {
        let mut pace = Budget::new(100, 50 * MS, 1000 * MS);
        for cost in costs {
            pace.spent(*cost);
        }
        pace.period()
    }

    #[test]
    fn what_costs_more_is_done_less_often_within_the_bounds() {
        assert_eq!(pace(&[]), 50 * MS);
        assert_eq!(pace(&[MS / 10]), 50 * MS);
        assert_eq!(pace(&[2 * MS]), 200 * MS);
        assert_eq!(pace(&[MS * 30]), 1000 * MS);
    }

    #[test]
    fn one_slow_time_among_many_changes_little() {
        let mut costs = vec![MS; 20];
        costs.push(500 * MS);
        assert!(pace(&costs) < 150 * MS);
    }

    #[test]
    fn a_cost_that_stays_is_believed() {
        let mut costs = vec![MS; 20];
        costs.extend([5 * MS; 40]);
        assert!(pace(&costs) > 450 * MS);
        costs.extend([MS; 40]);
        assert!(pace(&costs) < 120 * MS);
    }

    #[test]
    fn the_longest_period_wins_over_the_shortest() {
        assert_eq!(Budget::new(100, 50 * MS, 10 * MS).period(), 10 * MS);
    }
}
