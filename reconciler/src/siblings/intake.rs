//! The intake of a replica, from which its share of all is reckoned.

use super::recent::Recent;

/// Connections that open at one replica.
#[derive(Clone, Debug, Default)]
pub(super) struct Intake {
    pub(super) recent: Recent,
    /// Number of connections that had opened at all replicas when the last one opened here; `None` before the first one.
    last_at: Option<u64>,
}

/// Recent connections that each replica is taken to have had in addition. Without any, all shares are equal.
const PRIOR: f64 = 10.0;

/// Number of connections per replica, after the first, that open at the others alone until that is down to 1/e. A replica that
/// gets its fair part sees as many with a chance of 1 %, but one that drains sees nothing else: it would keep a part of what
/// backends lack to itself, and fill nothing. One that has had none yet has just begun, and counts in full. With it, replicas that have all been replaced are at 14.7 instead of 16.1 %
/// imbalance while the old ones drain, where one balancer is at 12.8 % (simulation with lives of a minute).
const QUIET: f64 = 4.0;

/// Least part of the prior that remains.
const MIN_PRIOR: f64 = 0.01 * PRIOR;

impl Intake {
    /// Creates that of a replica that is heard for the first time, when so many connections have opened at all replicas, and
    /// that may have had some before.
    pub(super) fn first_heard(has_opened: bool, opened_by_all: u64) -> Self {
        Self { recent: Recent::default(), last_at: has_opened.then_some(opened_by_all) }
    }

    /// Takes in that one of the connections that have opened at all replicas has opened here.
    pub(super) fn opened(&mut self, opened_by_all: u64) {
        self.last_at = Some(opened_by_all);
    }

    /// Returns the weight of the replica among this many.
    pub(super) fn weight(&self, opened_by_all: u64, replicas: usize) -> f64 {
        let since_last = self.last_at.map_or(0, |last_at| opened_by_all.saturating_sub(last_at));
        #[expect(clippy::cast_precision_loss, reason = "numbers that large are all the same")]
        let quiet = since_last as f64 / replicas.max(1) as f64;
        let excess = (quiet - 1.0).max(0.0);
        self.recent.connections() + (PRIOR * (-excess / QUIET).exp()).max(MIN_PRIOR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_at_which_nothing_arrives_while_others_get_all_counts_for_less_and_less() {
        let just_begun = Intake::first_heard(false, 100);
        assert!((just_begun.weight(1_000_000, 3) - PRIOR).abs() < 1e-9);
        let mut intake = Intake::first_heard(true, 100);
        assert!((intake.weight(100, 3) - PRIOR).abs() < 1e-9);
        let later: Vec<f64> = [101, 112, 130, 1_000_000].iter().map(|all| intake.weight(*all, 3)).collect();
        assert!(later.is_sorted_by(|a, b| a > b), "{later:?}");
        assert!(later[1] < 0.5 * PRIOR && (later[3] - MIN_PRIOR).abs() < 1e-9, "{later:?}");
        intake.opened(1_000_000);
        assert!((intake.weight(1_000_000, 3) - PRIOR).abs() < 1e-9, "with the next one it is as any other");
    }
}
