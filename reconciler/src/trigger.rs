//! The trigger: decides whether a push for balance is worth its cost.

use std::time::Duration;

use crate::decision::Reason;

/// Difference between the plan in force and a fresh one for one backend, in connections per share of capacity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Drift {
    /// Connections that the plan in force had in store for the backend when it was pushed.
    pub(crate) pushed: f64,
    /// Connections that have opened since then.
    pub(crate) opened: f64,
    /// Connections that a fresh plan would have in store.
    pub(crate) fresh: f64,
    /// Live connections.
    pub(crate) load: f64,
}

/// Standard deviation of the loads, relative to their mean, that is tolerated right after a push.
///
/// Departures since a push add `T / (2 tau c)` to the square of that deviation (T: time since the push, tau: mean life,
/// c: mean connections per backend). This bound asks for a push about every 60 ms with lives of 6 s and 30 connections
/// each, and about every 100 s with lives of an hour and 100 each.
const MAX_DEVIATION: f64 = 0.0125;

/// Difference between two backends, relative to the mean load, that is tolerated right after a push. Among very many
/// backends a single one does not show in the deviation of all.
const MAX_SINGLE_DRIFT: f64 = 0.1;

/// Time since the last push after which both tolerances are halved: a small error costs more, the longer it lasts.
const TOLERANCE_HALVED_AFTER: Duration = Duration::from_secs(60);

/// Returns the reason for a push now; `None` if a push would gain too little.
pub(crate) fn reason_to_push(drifts: &[Drift], since_push: Duration) -> Option<Reason> {
    let tolerance = 1.0 / (1.0 + since_push.as_secs_f64() / TOLERANCE_HALVED_AFTER.as_secs_f64());
    let mean_load = mean(drifts.iter().map(|s| s.load));
    let rest: Vec<f64> = drifts.iter().map(|s| s.pushed - s.opened - s.fresh).collect();
    let max_single_drift = (MAX_SINGLE_DRIFT * mean_load * tolerance).max(1.0);
    if range(&rest) > max_single_drift || deviation(&rest) > MAX_DEVIATION * mean_load * tolerance {
        return Some(Reason::Balance);
    }
    let after_rebuild: Vec<f64> = drifts.iter().map(|s| s.pushed - s.fresh).collect();
    (range(&after_rebuild) > 2.0 * max_single_drift).then_some(Reason::Freshness)
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let (count, sum) = values.fold((0.0, 0.0), |(count, sum), value| (count + 1.0, sum + value));
    if count > 0.0 { sum / count } else { 0.0 }
}

fn range(values: &[f64]) -> f64 {
    let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let smallest = values.iter().copied().fold(f64::INFINITY, f64::min);
    if values.is_empty() { 0.0 } else { largest - smallest }
}

fn deviation(values: &[f64]) -> f64 {
    let middle = mean(values.iter().copied());
    mean(values.iter().map(|value| (value - middle).powi(2))).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns backends with `load` connections each, of which some have ended and `opened` have opened since the push.
    fn drifts(load: f64, ended: &[f64], opened: f64) -> Vec<Drift> {
        let drift = |ended: &f64| Drift { pushed: 1e6, opened, fresh: 1e6 - opened + ended, load };
        ended.iter().map(drift).collect()
    }

    #[test]
    fn arrivals_where_the_plan_puts_them_need_no_push() {
        assert_eq!(reason_to_push(&drifts(30.0, &[0.0; 10], 7.0), Duration::ZERO), None);
    }

    #[test]
    fn few_departures_matter_where_there_are_few_connections() {
        let one = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(reason_to_push(&drifts(3.0, &one, 0.0), Duration::ZERO), Some(Reason::Balance));
        assert_eq!(reason_to_push(&drifts(100.0, &one, 0.0), Duration::ZERO), None);
    }

    #[test]
    fn a_small_error_is_repaired_late_and_a_large_one_at_once() {
        let small = [1.0, 0.0, 2.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
        assert_eq!(reason_to_push(&drifts(100.0, &small, 0.0), Duration::ZERO), None);
        assert_eq!(reason_to_push(&drifts(100.0, &small, 0.0), Duration::from_secs(120)), Some(Reason::Balance));
        let large = small.map(|ended| ended * 8.0);
        assert_eq!(reason_to_push(&drifts(100.0, &large, 0.0), Duration::ZERO), Some(Reason::Balance));
    }

    #[test]
    fn one_backend_far_off_among_a_thousand_is_seen() {
        let mut ended = vec![0.0; 1_000];
        ended[7] = 8.0;
        assert_eq!(reason_to_push(&drifts(50.0, &ended, 0.0), Duration::ZERO), Some(Reason::Balance));
    }

    #[test]
    fn gaps_that_are_filled_by_now_are_a_reason_to_push() {
        let filled = Drift { pushed: 1e6 + 40.0, opened: 40.0, fresh: 1e6, load: 50.0 };
        let full = Drift { pushed: 1e6, opened: 0.0, fresh: 1e6, load: 50.0 };
        assert_eq!(reason_to_push(&[filled, full], Duration::ZERO), Some(Reason::Freshness));
    }

    #[test]
    fn without_backends_there_is_nothing_to_gain() {
        assert_eq!(reason_to_push(&[], Duration::ZERO), None);
    }
}
