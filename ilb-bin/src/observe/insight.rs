//! The facts about a running ilb, for people and programs that watch it.
//!
//! The loop reports events, and the facts are updated by each. A status, a metric or a page is made from them only on
//! request, so nothing outlives its backend and nothing is computed that is not read.

mod closing;
mod degraded;
mod events;
mod facts;
mod imbalance;
mod load;
pub(crate) mod numbers;
mod pool;
mod problem;
mod reload;
mod sharing;
mod status;
mod survey;
mod traefik;
mod words;

use std::sync::Arc;

use ilb_controller::{DesiredPools, Event, Observer};
use tokio::{sync::watch, time::Instant};

use self::events::Urgency;
pub(crate) use self::{
    closing::PoolClosings,
    facts::Facts,
    pool::PoolFacts,
    sharing::{PoolSharing, SiblingsFacts},
    status::{BackendStatus, PoolStatus, StateCounts, Status, StatusSummary, TraefikStatus},
    traefik::TraefikFacts,
    words::{BackendState, PushResult, PushState, Reload, Severity},
};

/// The facts, shared between the loop that updates them and all readers.
#[derive(Clone, Debug)]
pub(crate) struct Insight(Arc<watch::Sender<Facts>>);

impl Insight {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Facts::new(Instant::now()))))
    }

    /// Takes in the result of reading changed settings.
    pub(crate) fn reloaded(&self, result: Reload) {
        self.update(|facts, _| {
            facts.reloads.reloaded(result);
            Urgency::Now
        });
    }

    /// Takes in a plan that would be pushed, as if it were in force.
    pub(crate) fn planned(&self, desired: &DesiredPools) {
        self.update(|facts, now| {
            facts.in_force(desired, now);
            Urgency::Now
        });
    }

    /// Returns a copy of the facts at this moment, which shares all that is large. What takes time is made from a copy, so
    /// that the loop never waits for it.
    pub(crate) fn snapshot(&self) -> Facts {
        self.read(Facts::clone)
    }

    /// Passes the facts to `with`. They cannot change until it returns, so it must be quick.
    pub(crate) fn read<T>(&self, with: impl FnOnce(&Facts) -> T) -> T {
        with(&self.0.borrow())
    }

    /// Returns a receiver that is woken by changes that are not routine.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Facts> {
        self.0.subscribe()
    }

    fn update(&self, with: impl FnOnce(&mut Facts, Instant) -> Urgency) {
        let now = Instant::now();
        self.0.send_if_modified(|facts| with(facts, now) == Urgency::Now);
    }
}

impl Observer for Insight {
    fn on(&mut self, event: &Event<'_>) {
        self.update(|facts, now| facts.on(event, now));
    }
}

#[cfg(test)]
pub(crate) mod tests;
