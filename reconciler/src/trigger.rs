use std::time::Duration;

/// How one backend stands between the plan in force and a fresh one. The unit is connections per share of capacity.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Drift {
    /// What the plan in force gave it.
    pub(crate) pushed: f64,
    /// What has come since then.
    pub(crate) opened: f64,
    /// What a fresh plan would give it.
    pub(crate) fresh: f64,
    /// Its connections.
    pub(crate) load: f64,
}

/// What a push would gain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gain {
    /// The rest of the plan in force leads elsewhere than a fresh plan: connections have ended since.
    Balance,
    /// The plan in force has gaps to fill that are filled. Were somebody else to make Traefik build its services again, it
    /// would begin with them again.
    Freshness,
}

/// The deviation of loads that is left alone right after a push, relative to their mean.
///
/// Departures since a push add `T / (2 tau c)` to the square of that deviation (T: time since the push, tau: mean life, c:
/// mean connections per backend). At this precision that asks for a push about every 60 ms with lives of 6 s and 30
/// connections each, and about every 100 s with lives of an hour and 100 each.
const PRECISION: f64 = 0.0125;

/// How long it takes until only half of that is left alone: a small error costs more, the longer it lasts.
const PATIENCE: Duration = Duration::from_secs(60);

/// How far a single backend may be off, relative to the mean load. Among very many backends one does not show in the
/// deviation of all.
const SINGLE: f64 = 0.1;

/// Whether a push has something to gain.
pub(crate) fn gain(drifts: &[Drift], since_push: Duration) -> Option<Gain> {
    let tolerance = 1.0 / (1.0 + since_push.as_secs_f64() / PATIENCE.as_secs_f64());
    let mean_load = mean(drifts.iter().map(|s| s.load));
    let rest: Vec<f64> = drifts.iter().map(|s| s.pushed - s.opened - s.fresh).collect();
    let single = (SINGLE * mean_load * tolerance).max(1.0);
    if range(&rest) > single || deviation(&rest) > PRECISION * mean_load * tolerance {
        return Some(Gain::Balance);
    }
    let again: Vec<f64> = drifts.iter().map(|s| s.pushed - s.fresh).collect();
    (range(&again) > 2.0 * single).then_some(Gain::Freshness)
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

    /// Backends with `load` connections each, of which some have ended since the push, and `come` have come to each.
    fn drifts(load: f64, ended: &[f64], come: f64) -> Vec<Drift> {
        let drift = |ended: &f64| Drift { pushed: 1e6, opened: come, fresh: 1e6 - come + ended, load };
        ended.iter().map(drift).collect()
    }

    #[test]
    fn arrivals_where_the_plan_puts_them_need_no_push() {
        assert_eq!(gain(&drifts(30.0, &[0.0; 10], 7.0), Duration::ZERO), None);
    }

    #[test]
    fn few_departures_matter_where_there_are_few_connections() {
        let one = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(gain(&drifts(3.0, &one, 0.0), Duration::ZERO), Some(Gain::Balance));
        assert_eq!(gain(&drifts(100.0, &one, 0.0), Duration::ZERO), None);
    }

    #[test]
    fn a_small_error_is_repaired_late_a_large_one_at_once() {
        let small = [1.0, 0.0, 2.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0];
        assert_eq!(gain(&drifts(100.0, &small, 0.0), Duration::ZERO), None);
        assert_eq!(gain(&drifts(100.0, &small, 0.0), Duration::from_secs(120)), Some(Gain::Balance));
        let large = small.map(|ended| ended * 8.0);
        assert_eq!(gain(&drifts(100.0, &large, 0.0), Duration::ZERO), Some(Gain::Balance));
    }

    #[test]
    fn one_backend_far_off_among_a_thousand_is_seen() {
        let mut ended = vec![0.0; 1_000];
        ended[7] = 8.0;
        assert_eq!(gain(&drifts(50.0, &ended, 0.0), Duration::ZERO), Some(Gain::Balance));
    }

    #[test]
    fn gaps_that_are_filled_are_taken_out_of_the_plan() {
        let filled = Drift { pushed: 1e6 + 40.0, opened: 40.0, fresh: 1e6, load: 50.0 };
        let full = Drift { pushed: 1e6, opened: 0.0, fresh: 1e6, load: 50.0 };
        assert_eq!(gain(&[filled, full], Duration::ZERO), Some(Gain::Freshness));
    }

    #[test]
    fn without_backends_there_is_nothing_to_gain() {
        assert_eq!(gain(&[], Duration::ZERO), None);
    }
}
