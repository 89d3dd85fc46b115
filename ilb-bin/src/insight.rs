//! What is known at this moment, for people and for machines that watch.
//!
//! The controller says what happens; the facts are kept as they come. A status, a metric or a page is made of them only
//! when somebody asks for it, so what has gone cannot linger anywhere, and nobody who looks costs nothing.

mod backend;
mod facts;
mod load;
mod pool;
mod status;
mod traefik;

use std::{sync::Arc, time::Duration};

use ilb_connections::Sample;
use ilb_discovery::{BackendSet, Discovery};
use ilb_traefik_client::{Applied, Name};
use tokio::{sync::watch, time::Instant};

pub(crate) use self::{
    backend::BackendStatus,
    facts::Facts,
    pool::PoolFacts,
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

    /// A new pool, whose backends `discovery` knows.
    pub(crate) fn pool(
        &self,
        name: &Name,
        entry_point: &Name,
        method: &'static str,
        discovery: Option<Arc<dyn Discovery>>,
    ) -> PoolInsight {
        let pool = PoolFacts::new(entry_point.to_string(), method, discovery, Instant::now());
        self.0.send_modify(|facts| {
            facts.pools.insert(name.to_string(), pool);
        });
        PoolInsight { facts: self.clone(), pool: name.clone() }
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
    /// The loop has come round.
    pub(crate) fn alive(&self) {
        self.facts.update(|facts, now| {
            facts.beat = now;
            News::No
        });
    }

    /// Discovery knows all backends.
    pub(crate) fn found(&self, set: &Arc<BackendSet>) {
        self.update(|pool, _, now| pool.found(set, now));
    }

    /// Discovery cannot see changes for the time being.
    pub(crate) fn stale(&self, error: &ilb_discovery::Error) {
        self.update(|pool, _, now| pool.stale(error, now));
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
        self.update(|pool, _, now| pool.load.failed(reason, now));
    }

    /// A suspect was probed.
    pub(crate) fn probed(&self, answered: bool) {
        self.update(|pool, _, _| pool.load.probed(answered));
    }

    /// A push has begun.
    pub(crate) fn push_begun(&self, choice: &Choice) {
        self.update(|pool, traefik, now| {
            let reason = pool.push_begun(choice);
            traefik.push_begun(reason, choice.plan(), now);
        });
    }

    /// The push is proved to be in force.
    pub(crate) fn pushed(&self, choice: &Choice, backends: &BackendSet, applied: &Applied) {
        self.update(|pool, traefik, now| {
            pool.pushed(choice, backends, now);
            traefik.pushed(applied, now);
        });
    }

    /// The push failed.
    pub(crate) fn push_failed(&self, error: &ilb_traefik_client::Error) {
        self.update(|pool, traefik, now| {
            pool.push_failed();
            traefik.push_failed(error, now);
        });
    }

    /// What was pushed last is still in force.
    pub(crate) fn proved(&self) {
        self.facts.update(|facts, now| {
            facts.traefik.proved(now);
            News::No
        });
    }

    /// What was pushed last is not in force any more, or that cannot be told.
    pub(crate) fn lost(&self, error: &ilb_traefik_client::Error) {
        self.update(|_, traefik, now| traefik.lost(error, now));
    }

    fn update(&self, with: impl FnOnce(&mut PoolFacts, &mut TraefikFacts, Instant)) {
        self.facts.update(|facts, now| {
            if let Some(pool) = facts.pools.get_mut(self.pool.as_str()) {
                with(pool, &mut facts.traefik, now);
            }
            News::Yes
        });
    }
}

#[cfg(test)]
pub(crate) mod tests;
