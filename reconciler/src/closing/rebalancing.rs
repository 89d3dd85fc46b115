//! The state of a rebalance between two samples.

use std::time::{Duration, Instant};

use crate::closing::{goals::Goals, policy::Rebalance};

/// Knows since when the goals have been missed, and whether a run is going on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rebalancing {
    /// Moment since which the goals have been missed.
    pub(crate) missed_since: Option<Instant>,
    /// Set during a run, which ends when the goals are met.
    pub(crate) is_running: bool,
    /// Moment since which the next connections have not gone to the emptiest backends, or one was closed nevertheless.
    crowded_since: Option<Instant>,
}

/// Time for which a closing waits until the next connections go to the emptiest backends: many times what a push takes.
const MAX_CROWDED: Duration = Duration::from_secs(3);

impl Rebalancing {
    /// Takes in the goals after a sample. A run only ends if they are those of all backends and replicas.
    pub(crate) fn sampled(&mut self, policy: &Rebalance, goals: &Goals, are_all_known: bool, now: Instant) {
        if self.is_running && are_all_known && goals.are_met(policy.stop_at_percent) {
            self.stop();
        }
        if goals.are_missed(policy.start_above_percent, policy.least) {
            self.missed_since.get_or_insert(now);
        } else if !self.is_running && are_all_known {
            self.missed_since = None;
        }
    }

    /// Takes in whether the next connections go to the emptiest backends. Returns the moment up to which a closing has to wait.
    pub(crate) fn wait_for_places(&mut self, are_there: bool, now: Instant) -> Option<Instant> {
        if are_there {
            self.crowded_since = None;
            return None;
        }
        let until = *self.crowded_since.get_or_insert(now) + MAX_CROWDED;
        if until > now {
            return Some(until);
        }
        self.crowded_since = Some(now);
        None
    }

    pub(crate) fn stop(&mut self) {
        *self = Self::default();
    }
}
