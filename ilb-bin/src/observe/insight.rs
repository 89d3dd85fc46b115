//! The facts of this moment, for people and for machines that watch.
//!
//! The loop reports events; the facts are kept as they come. A status, a metric or a page is made of them only when one is
//! asked for, so nothing outlives its backend, and what nobody asks for costs nothing.

mod backend;
mod facts;
mod load;
mod pool;
mod reload;
mod status;
mod traefik;

use std::sync::Arc;

use ilb_controller::{DesiredPools, Event, Observer};
use ilb_reconciler::Reason;
use ilb_traefik_client::Name;
use tokio::{sync::watch, time::Instant};

pub(crate) use self::{
    backend::BackendStatus,
    facts::Facts,
    pool::PoolFacts,
    reload::Reload,
    status::{PoolStatus, Problem, Status, TraefikStatus},
    traefik::{CIRCUIT_STATES, PushResult, TraefikFacts},
};

/// The facts, shared between the loop that reports and all that show.
#[derive(Clone)]
pub(crate) struct Insight(Arc<watch::Sender<Facts>>);

/// Whether those that follow the facts are woken.
#[derive(PartialEq)]
enum News {
    Yes,
    /// Many a second: it shows with the next look.
    No,
}

impl Insight {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Facts::new(Instant::now()))))
    }

    /// Takes in that the file of settings has changed.
    pub(crate) fn reloaded(&self, result: Reload) {
        self.update(|facts, _| {
            facts.reloads.reloaded(result);
            News::Yes
        });
    }

    /// Takes in a plan that would be pushed, as if it were in force.
    pub(crate) fn planned(&self, desired: &DesiredPools) {
        self.update(|facts, now| {
            for (pool, desired) in desired {
                facts.in_pool(pool, |pool| pool.pushed(desired, now));
            }
            News::Yes
        });
    }

    /// Looks at the facts. They cannot change until `with` returns, so it has to be quick.
    pub(crate) fn look<T>(&self, with: impl FnOnce(&Facts) -> T) -> T {
        with(&self.0.borrow())
    }

    /// Returns a receiver that is woken by news.
    pub(crate) fn follow(&self) -> watch::Receiver<Facts> {
        self.0.subscribe()
    }

    fn update(&self, with: impl FnOnce(&mut Facts, Instant) -> News) {
        let now = Instant::now();
        self.0.send_if_modified(|facts| with(facts, now) == News::Yes);
    }
}

impl Observer for Insight {
    fn on(&mut self, event: &Event<'_>) {
        self.update(|facts, now| facts.on(event, now));
    }
}

impl Facts {
    fn on(&mut self, event: &Event<'_>, now: Instant) -> News {
        match event {
            Event::Alive => {
                self.beat = now;
                return News::No;
            }
            Event::PoolAdded { pool } => {
                let late = self.is_serving();
                let facts = PoolFacts::new(pool, late, now);
                let facts = match self.pools.remove(pool.spec.name.as_str()) {
                    Some(before) => facts.replacing(before),
                    None => facts,
                };
                self.pools.insert(pool.spec.name.to_string(), facts);
            }
            Event::PoolRemoved { pool } => {
                self.pools.remove(pool.as_str());
            }
            Event::Discovered { pool, set, .. } => self.in_pool(pool, |pool| pool.found(set, now)),
            Event::DiscoveryStale { pool, error } => self.in_pool(pool, |pool| pool.stale(error, now)),
            Event::Sampled { pool, sample, balancer } => {
                self.in_pool(pool, |pool| pool.sampled(sample, balancer, now));
                return News::No;
            }
            Event::CountingFailed { pool, error } => {
                self.in_pool(pool, |pool| pool.load.failed(&error.with_causes().to_string(), now));
            }
            Event::CountingImpossible { pool, reason } => self.in_pool(pool, |pool| pool.load.failed(reason, now)),
            Event::Probed { pool, result, .. } => self.in_pool(pool, |pool| pool.load.probed(*result)),
            Event::Decided { pool, decision } => {
                self.in_pool(pool, |pool| pool.decided = Some(Arc::clone(decision)));
                return News::No;
            }
            Event::PushStarted { desired } => self.push_started(desired, now),
            Event::Pushed { desired, applied, .. } => {
                for (pool, desired) in *desired {
                    self.in_pool(pool, |pool| pool.pushed(desired, now));
                }
                self.traefik.pushed(applied, now);
            }
            Event::PushFailed { error } => {
                self.pools.values_mut().for_each(PoolFacts::push_failed);
                self.traefik.push_failed(error, now);
            }
            Event::ProofHeld => {
                self.traefik.proved(now);
                return News::No;
            }
            Event::ProofLost { error } => self.traefik.lost(error, now),
            _ => return News::No,
        }
        News::Yes
    }

    fn push_started(&mut self, desired: &DesiredPools, now: Instant) {
        let (mut entries, mut reason) = (0, None);
        for (pool, desired) in desired {
            entries += desired.decision.plan.entries().len();
            self.in_pool(pool, |pool| reason = reason.max(pool.push_started(&desired.decision)));
        }
        self.traefik.push_started(reason.map_or(REPAIR, Reason::as_str), entries, now);
    }

    fn in_pool(&mut self, pool: &Name, with: impl FnOnce(&mut PoolFacts)) {
        if let Some(pool) = self.pools.get_mut(pool.as_str()) {
            with(pool);
        }
    }
}

/// The reason for a push that only repeats what was in force.
const REPAIR: &str = "repair";

#[cfg(test)]
pub(crate) mod tests;
