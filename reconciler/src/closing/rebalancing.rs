//! The state of a rebalance between two samples.

use std::time::Instant;

use crate::closing::{goals::Goals, policy::Rebalance};

/// Knows since when the goals have been missed, and whether a run is going on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rebalancing {
    /// Moment since which the goals have been missed.
    pub(crate) missed_since: Option<Instant>,
    /// Set during a run, which ends when the goals are met.
    pub(crate) is_running: bool,
}

impl Rebalancing {
    /// Takes in the goals after a sample.
    pub(crate) fn sampled(&mut self, policy: &Rebalance, goals: &Goals, now: Instant) {
        if self.is_running && goals.are_met(policy.stop_at_percent) {
            self.stop();
        }
        if goals.are_missed(policy.start_above_percent, policy.least) {
            self.missed_since.get_or_insert(now);
        } else if !self.is_running {
            self.missed_since = None;
        }
    }

    pub(crate) fn stop(&mut self) {
        *self = Self::default();
    }
}
