//! Looks whether anything keeps a pool from closing connections.

use std::time::Instant;

use crate::closing::{Closing, View, Why, hold::Hold};

impl Closing {
    /// Returns what keeps this pool from closing connections for this reason, and until when.
    pub(crate) fn hold(&self, why: Why, now: Instant) -> Option<(Hold, Option<Instant>)> {
        if let Some((until, reason)) = self.ledger.pause(now) {
            return Some((Hold::Paused(reason), Some(until)));
        }
        let Some(view) = self.knowledge.recent_view(now) else { return Some((Hold::StaleBackends, None)) };
        let Some(proxy_since) = view.proxy_since.filter(|_| view.is_in_force) else {
            return Some((Hold::NotInForce, None));
        };
        let settled = self.knowledge.started().max(proxy_since).checked_add(self.policy.settle.0);
        let can_wait = matches!(why, Why::Age | Why::Rebalance);
        let has_other = match why {
            Why::Role => true,
            Why::Drain => self.knowledge.ready().next().is_some(),
            Why::Age if self.policy.age.is_some_and(|age| age.even_alone) => true,
            Why::Age | Why::Rebalance => self.knowledge.ready().nth(1).is_some(),
        };
        let is_outside = |view: &View| self.policy.window.is_some_and(|window| !window.contains(view.time_of_day));
        match () {
            () if !view.is_fresh => Some((Hold::StaleBackends, None)),
            () if !view.can_count || !self.knowledge.has_recent_sample(now) => Some((Hold::StaleCounts, None)),
            () if settled.is_none_or(|settled| settled > now) => Some((Hold::Starting, settled)),
            () if can_wait && !self.suspects().is_empty() => Some((Hold::Suspects, None)),
            () if why == Why::Rebalance && !self.together.is_complete(now) => Some((Hold::SiblingsNotHeard, None)),
            () if !has_other => Some((Hold::NoOtherBackend, None)),
            () if can_wait && is_outside(view) => Some((Hold::OutsideWindow, None)),
            () => None,
        }
    }
}
