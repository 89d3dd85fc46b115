//! The imbalance of a pool, now and over the last minutes.

use std::{collections::VecDeque, time::Duration};

use ilb_connections::Load;
use tokio::time::Instant;

/// Difference between the loads of the backends that take connections.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Imbalance {
    /// Excess of the fullest backend over the mean, relative to the mean, per share of capacity: 0 is perfect.
    pub(crate) ratio: f64,
    /// Excess of the fullest backend over the mean, in connections per share of capacity.
    pub(crate) connections: f64,
}

impl Imbalance {
    /// Compares loads, in connections per share of capacity. Returns `None` where there is nothing to compare.
    pub(crate) fn from_loads(loads: impl Iterator<Item = f64>) -> Option<Self> {
        let (mut count, mut sum, mut fullest) = (0.0, 0.0, 0.0_f64);
        for load in loads {
            count += 1.0;
            sum += load;
            fullest = fullest.max(load);
        }
        let mean = sum / count;
        (mean > 0.0).then(|| Self { ratio: (fullest - mean) / mean, connections: fullest - mean })
    }
}

/// Returns the connections by which a backend is compared with others: those of all replicas, where other ones are heard.
pub(super) fn compared(load: Option<Load>, total: Option<u64>) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "no backend has as many connections")]
    let total = total.map(|total| total as f64);
    total.or_else(|| Some(load?.connections().into()))
}

/// Mean imbalance ratio of each of the last time steps.
#[derive(Clone, Debug, Default)]
pub(crate) struct ImbalanceHistory {
    /// The beginning of the first step.
    begun: Option<Instant>,
    /// The number of the newest step since the beginning.
    newest: u64,
    /// The steps, oldest first: the sum of the ratios in each, and their number.
    steps: VecDeque<(f64, u32)>,
}

impl ImbalanceHistory {
    /// Length of a step.
    pub(crate) const STEP: Duration = Duration::from_secs(5);
    /// Number of steps that are kept.
    pub(crate) const MAX_STEPS: usize = 120;

    pub(super) fn add(&mut self, ratio: f64, now: Instant) {
        self.move_on(now);
        if let Some((sum, count)) = self.steps.back_mut() {
            *sum += ratio;
            *count += 1;
        }
    }

    /// Begins all steps up to `now`.
    fn move_on(&mut self, now: Instant) {
        let begun = *self.begun.get_or_insert(now);
        let step = now.saturating_duration_since(begun).as_secs() / Self::STEP.as_secs();
        let missing = if self.steps.is_empty() { 1 } else { step.saturating_sub(self.newest) };
        for _ in 0..missing.min(Self::MAX_STEPS as u64) {
            if self.steps.len() == Self::MAX_STEPS {
                self.steps.pop_front();
            }
            self.steps.push_back((0.0, 0));
        }
        self.newest = step;
    }

    /// Returns the mean of each step, oldest first; `None` for a step without samples.
    pub(crate) fn means(&self) -> impl Iterator<Item = Option<f64>> {
        self.steps.iter().map(|(sum, count)| (*count > 0).then(|| sum / f64::from(*count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imbalance_is_the_excess_of_the_fullest_over_the_mean() {
        let of = |loads: &[f64]| Imbalance::from_loads(loads.iter().copied());
        assert_eq!(of(&[10.0, 10.0]), Some(Imbalance { ratio: 0.0, connections: 0.0 }));
        assert_eq!(of(&[15.0, 10.0, 5.0]), Some(Imbalance { ratio: 0.5, connections: 5.0 }));
        assert_eq!(of(&[0.0, 0.0]), None, "there is nothing to compare");
        assert_eq!(of(&[]), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_history_has_the_mean_of_each_step_and_gaps_where_connections_were_not_counted() {
        let begun = Instant::now();
        let mut history = ImbalanceHistory::default();
        history.add(0.1, begun);
        history.add(0.3, begun + Duration::from_secs(4));
        history.add(0.5, begun + Duration::from_secs(11));
        assert_eq!(history.means().collect::<Vec<_>>(), [Some(0.2), None, Some(0.5)]);
        history.add(0.7, begun + Duration::from_secs(100_000));
        assert_eq!(history.means().count(), ImbalanceHistory::MAX_STEPS);
        assert_eq!(history.means().last(), Some(Some(0.7)));
    }
}
