//! The plan in force, compared with what has happened since.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{decision::Decision, presumed::Remainder, tracked::Tracked, trigger::Drift};

/// A decision that is proved to be in force.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(crate) decision: Arc<Decision>,
    pub(crate) since: Instant,
    /// Duration of its push.
    pub(crate) took: Duration,
    /// Weights of each backend in the plan, by address.
    weights: Vec<(SocketAddr, Weights)>,
}

/// Weights of one backend in a plan.
#[derive(Clone, Copy, Debug, Default)]
struct Weights {
    entries: u32,
    sum: u64,
    highest: u32,
    /// Parts of a connection by which the backend was taken to be fuller than it is.
    rounded_up_by: f64,
}

/// Connections that a plan for the present counts would have in store for one backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fresh {
    /// Sum of its weights.
    pub(crate) weights: u64,
    /// Parts of a connection by which it was taken to be fuller than it is.
    pub(crate) rounded_up_by: f64,
    /// Connections that count as its load.
    pub(crate) load: f64,
}

impl InForce {
    pub(crate) fn new(decision: &Arc<Decision>, took: Duration, since: Instant) -> Self {
        let entries = decision.plan.entries();
        let mut weights: Vec<(SocketAddr, Weights)> = Vec::with_capacity(entries.len());
        for entry in entries {
            if weights.last().is_none_or(|(address, _)| *address != entry.address) {
                weights.push((entry.address, Weights::default()));
            }
            if let Some((_, weights)) = weights.last_mut() {
                weights.entries += 1;
                weights.sum += u64::from(entry.weight);
                weights.highest = weights.highest.max(entry.weight);
            }
        }
        for ((_, weights), rounded_up_by) in weights.iter_mut().zip(&decision.rounded_up_by) {
            weights.rounded_up_by = *rounded_up_by;
        }
        Self { decision: Arc::clone(decision), since, took, weights }
    }

    /// Compares what this plan had in store for a backend with what a plan for the present counts would have. Both are
    /// taken before rounding, which would look like a change.
    pub(crate) fn drift(&self, tracked: &Tracked, fresh: &Fresh) -> Drift {
        let weights = self.weights_of(tracked);
        let shares = f64::from(weights.entries.max(1));
        #[expect(clippy::cast_precision_loss, reason = "a sum of at most 16 weights of 32 bits is exact")]
        let in_store = |sum: u64, rounded_up_by: f64| (sum as f64 + rounded_up_by) / shares;
        let opened = f64::from(placed(tracked)) / shares;
        Drift {
            left: in_store(weights.sum, 0.0) - opened,
            fresh_left: in_store(fresh.weights, 0.0),
            pushed: in_store(weights.sum, weights.rounded_up_by),
            opened,
            in_doubt: (f64::from(tracked.opened_before_push) - f64::from(tracked.opened_around_push)) / shares,
            fresh: in_store(fresh.weights, fresh.rounded_up_by),
            load: fresh.load / shares,
            shares,
        }
    }

    /// Returns what this plan has left for each backend that it has.
    pub(crate) fn remainders<'a>(
        &self,
        backends: impl Iterator<Item = &'a Tracked>,
    ) -> impl Iterator<Item = Remainder> {
        backends.filter_map(|tracked| {
            let weights = self.weights_of(tracked);
            #[expect(clippy::cast_precision_loss, reason = "a sum of at most 16 weights of 32 bits is exact")]
            let left = weights.sum as f64 - f64::from(placed(tracked));
            let shares = f64::from(weights.entries);
            let backend = tracked.backend.address();
            (weights.entries > 0).then(|| Remainder { backend, connections: left / shares, shares })
        })
    }

    /// Returns for each backend how many connections this plan must have sent there without any having appeared.
    ///
    /// The connections opened elsewhere show which level Traefik's round robin has reached. Above that level it has
    /// served every entry once per level. A backend that is not in the plan shows nothing: what appears there was sent
    /// by the plan before. Neither does one that another pool has, too: the other pool's plan may have sent it.
    pub(crate) fn missed<'a>(&self, backends: impl Iterator<Item = &'a Tracked> + Clone) -> Vec<u32> {
        let reached = |tracked: &Tracked| {
            let opened = tracked.opened_since_push.saturating_sub(tracked.opened_around_push);
            let weights = if opened > 0 { self.weights_of(tracked) } else { Weights::default() };
            let passes = opened.div_ceil(weights.entries.max(1));
            (weights.entries > 0 && opened > 0 && !tracked.is_shared)
                .then(|| weights.highest.saturating_sub(passes).saturating_add(1))
        };
        let level = backends.clone().filter_map(reached).min();
        let missed = |tracked: &Tracked| match level {
            Some(level) if placed(tracked) == 0 && !tracked.is_shared => {
                self.weights_of(tracked).highest.saturating_sub(level)
            }
            _ => 0,
        };
        backends.map(missed).collect()
    }

    fn weights_of(&self, tracked: &Tracked) -> Weights {
        let found = self.weights.binary_search_by_key(&tracked.backend.address(), |(address, _)| *address);
        found.map_or_else(|_| Weights::default(), |at| self.weights[at].1)
    }
}

/// Returns how many connections the plan in force has placed on a backend, those that are presumed included.
fn placed(tracked: &Tracked) -> u32 {
    tracked.opened_since_push.saturating_add(tracked.presumed_since_push)
}
