//! What is known at this moment, for people and for machines that watch.
//!
//! The controller says what happens; the facts are kept as they come. A status, a metric or a page is made of them only
//! when somebody asks for it, so what has gone cannot linger anywhere, and nobody who looks costs nothing.

mod backend;
mod facts;
mod load;
mod pool;
mod reload;
mod status;
mod traefik;

use std::{sync::Arc, time::Duration};

use ilb_connections::Sample;
use ilb_discovery::{BackendSet, Discovery};
use ilb_reconciler::Reason;
use ilb_traefik_client::{Applied, Name};
use tokio::{sync::watch, time::Instant};

pub(crate) use self::{
    backend::BackendStatus,
    facts::Facts,
    pool::PoolFacts,
    reload::Reload,
    status::{PoolStatus, Problem, Status, TraefikStatus},
    traefik::{CIRCUIT_STATES, PushResult, TraefikFacts},
};
use crate::balancing::Choice;

/// The facts, shared between those who know and those who show.
#[derive(Clone)]
pub(crate) struct Insight(Arc<watch::Sender<Facts>>);

/// Where the controller of one pool says what happens.
#[derive(Clone)]
pub(crate) struct PoolInsight {
    facts: Insight,
    pool: Name,
}

/// One pool's part of a push.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    pub(crate) pool: &'a Name,
    pub(crate) choice: &'a Choice,
    /// The backends that may take new connections.
    pub(crate) backends: &'a BackendSet,
}

/// Whether those who look on should be told at once.
#[derive(PartialEq)]
enum News {
    Yes,
    /// Many a second: it shows with the next look.
    No,
}

impl Insight {
    /// How often the controller's loop comes round at least.
    pub(crate) const HEARTBEAT: Duration = Duration::from_secs(1);

    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Facts::new(Instant::now()))))
    }

    /// A new pool, or one that replaces the pool of this name, whose backends `discovery` knows.
    pub(crate) fn pool(
        &self,
        name: &Name,
        entry_point: &Name,
        method: &'static str,
        discovery: Option<Arc<dyn Discovery>>,
    ) -> PoolInsight {
        self.0.send_modify(|facts| {
            let late = facts.is_serving();
            let pool = PoolFacts::new(entry_point.to_string(), method, discovery, late, Instant::now());
            let pool = match facts.pools.remove(name.as_str()) {
                Some(before) => pool.replacing(before),
                None => pool,
            };
            facts.pools.insert(name.to_string(), pool);
        });
        PoolInsight { facts: self.clone(), pool: name.clone() }
    }

    /// The file of settings has changed.
    pub(crate) fn reloaded(&self, result: Reload) {
        self.update(|facts, _| {
            facts.reloads.reloaded(result);
            News::Yes
        });
    }

    /// This pool is no more.
    pub(crate) fn forget(&self, pool: &Name) {
        self.update(|facts, _| {
            facts.pools.remove(pool.as_str());
            News::Yes
        });
    }

    /// The loop has come round.
    pub(crate) fn alive(&self) {
        self.update(|facts, now| {
            facts.beat = now;
            News::No
        });
    }

    /// A push has begun.
    pub(crate) fn push_begun<'a>(&self, parts: impl Iterator<Item = Part<'a>>) {
        self.update(|facts, now| {
            let (mut entries, mut reason) = (0, None);
            for part in parts {
                entries += part.choice.plan().entries().len();
                if let Some(pool) = facts.pools.get_mut(part.pool.as_str()) {
                    reason = reason.max(pool.push_begun(part.choice));
                }
            }
            facts.traefik.push_begun(reason.map_or(REPAIR, Reason::as_str), entries, now);
            News::Yes
        });
    }

    /// The push is proved to be in force.
    pub(crate) fn pushed<'a>(&self, parts: impl Iterator<Item = Part<'a>>, applied: &Applied) {
        self.update(|facts, now| {
            for Part { pool, choice, backends } in parts {
                if let Some(pool) = facts.pools.get_mut(pool.as_str()) {
                    pool.pushed(choice, backends, now);
                }
            }
            facts.traefik.pushed(applied, now);
            News::Yes
        });
    }

    /// The push failed.
    pub(crate) fn push_failed(&self, error: &ilb_traefik_client::Error) {
        self.update(|facts, now| {
            facts.pools.values_mut().for_each(PoolFacts::push_failed);
            facts.traefik.push_failed(error, now);
            News::Yes
        });
    }

    /// What was pushed last is still in force.
    pub(crate) fn proved(&self) {
        self.update(|facts, now| {
            facts.traefik.proved(now);
            News::No
        });
    }

    /// What was pushed last is not in force any more, or that cannot be told.
    pub(crate) fn lost(&self, error: &ilb_traefik_client::Error) {
        self.update(|facts, now| {
            facts.traefik.lost(error, now);
            News::Yes
        });
    }

    /// Looks at the facts. Nothing can change meanwhile, so be quick.
    pub(crate) fn look<T>(&self, with: impl FnOnce(&Facts) -> T) -> T {
        with(&self.0.borrow())
    }

    /// Tells when there is news.
    pub(crate) fn follow(&self) -> watch::Receiver<Facts> {
        self.0.subscribe()
    }

    fn update(&self, with: impl FnOnce(&mut Facts, Instant) -> News) {
        let now = Instant::now();
        self.0.send_if_modified(|facts| with(facts, now) == News::Yes);
    }
}

impl PoolInsight {
    /// Discovery knows all backends.
    pub(crate) fn found(&self, set: &Arc<BackendSet>) {
        self.update(|pool, now| pool.found(set, now));
    }

    /// Discovery cannot see changes for the time being.
    pub(crate) fn stale(&self, error: &ilb_discovery::Error) {
        self.update(|pool, now| pool.stale(error, now));
    }

    /// The connections were counted.
    pub(crate) fn sampled(&self, sample: &Sample) {
        self.facts.update(|facts, now| {
            if let Some(pool) = facts.pools.get_mut(self.pool.as_str()) {
                pool.sampled(sample, now);
            }
            News::No
        });
    }

    /// The connections cannot be counted, for this reason.
    pub(crate) fn uncounted(&self, reason: &str) {
        self.update(|pool, now| pool.load.failed(reason, now));
    }

    /// This would be pushed: it is looked at as if it were in force.
    pub(crate) fn planned(&self, choice: &Choice) {
        self.update(|pool, _| pool.in_force = Some(choice.clone()));
    }

    /// A suspect was probed.
    pub(crate) fn probed(&self, answered: bool) {
        self.update(|pool, _| pool.load.probed(answered));
    }

    fn update(&self, with: impl FnOnce(&mut PoolFacts, Instant)) {
        self.facts.update(|facts, now| {
            if let Some(pool) = facts.pools.get_mut(self.pool.as_str()) {
                with(pool, now);
            }
            News::Yes
        });
    }
}

/// The reason for a push that only puts in force again what was.
const REPAIR: &str = "repair";

#[cfg(test)]
pub(crate) mod tests;
