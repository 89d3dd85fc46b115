//! One pool: its backends as discovery sees them, and the plan for them.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::BoxStream};
use ilb_discovery::{BackendSet, Discovery};
use ilb_reconciler::{Decision, Method};
use ilb_traefik_client::Name;

use crate::{Desired, DesiredPools, Event, Observer, Policy, PoolSpec, counting};

/// A pool that is followed: watches its backends and knows what should be in force for them.
///
/// Holds the sets that discovery published and the last decision of its policy. The [`Controller`](crate::Controller) that
/// owns it drives it; alone it does nothing.
pub struct Pool {
    spec: Arc<PoolSpec>,
    discovery: Arc<dyn Discovery>,
    sets: BoxStream<'static, Result<Arc<BackendSet>, ilb_discovery::Error>>,
    policy: Policy,
    /// The set seen last, whatever the states of its backends.
    seen: Option<Arc<BackendSet>>,
    /// The backends of `seen` that may take new connections.
    ready: Option<Arc<BackendSet>>,
    decided: Option<Arc<Decision>>,
    /// What was desired for the pool that this one has replaced. It counts until this pool has a decision of its own.
    inherited: Option<Desired>,
}

/// Something that a pool waited for.
#[derive(Debug)]
pub(crate) enum Happened {
    Discovered(Result<Arc<BackendSet>, ilb_discovery::Error>),
    Counting(counting::Happened),
}

impl Pool {
    /// Creates a pool of the backends that `discovery` watches. It must be called within a Tokio runtime.
    pub fn new(spec: PoolSpec, discovery: impl Discovery, policy: Policy) -> Self {
        let sets = discovery.watch();
        let (spec, discovery) = (Arc::new(spec), Arc::new(discovery));
        Self { spec, discovery, sets, policy, seen: None, ready: None, decided: None, inherited: None }
    }

    /// Returns its name.
    pub fn name(&self) -> &Name {
        &self.spec.name
    }

    /// Returns everything about it but its backends.
    pub fn spec(&self) -> &Arc<PoolSpec> {
        &self.spec
    }

    /// Returns how it is balanced.
    pub fn method(&self) -> Method {
        self.policy.method()
    }

    /// Returns the source of its backends.
    pub fn discovery(&self) -> &Arc<dyn Discovery> {
        &self.discovery
    }

    /// Reports that this pool is followed from now on.
    pub(crate) fn announce(&self, observer: &mut dyn Observer) {
        observer.on(&Event::PoolAdded { pool: self });
        self.policy.announce(self.name(), observer);
    }

    /// Takes the place of `before`: what is in force for it stays so until this pool knows its own backends.
    pub(crate) fn replace(&mut self, before: &Self) {
        self.inherited = before.desired();
        if let Some(decided) = &before.decided {
            self.policy.inherit(decided);
        }
    }

    /// Waits for something that may change what is desired. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Happened {
        tokio::select! {
            biased;
            Some(set) = self.sets.next() => Happened::Discovered(set),
            happened = self.policy.next() => Happened::Counting(happened),
        }
    }

    /// Takes in what [`next`](Self::next) returned.
    pub(crate) fn take(&mut self, happened: Happened, observer: &mut dyn Observer) {
        match happened {
            Happened::Discovered(Ok(set)) => self.discovered(set, observer),
            Happened::Discovered(Err(error)) => {
                observer.on(&Event::DiscoveryStale { pool: self.name(), error: &error });
            }
            Happened::Counting(happened) => self.policy.take(happened, &self.spec.name, observer),
        }
    }

    fn discovered(&mut self, set: Arc<BackendSet>, observer: &mut dyn Observer) {
        let set = self.spec.shares.apply(&set).map_or(set, Arc::new);
        self.policy.backends(&set);
        self.ready = Some(Arc::new(set.ready()));
        let previous = self.seen.replace(Arc::clone(&set));
        observer.on(&Event::Discovered { pool: &self.spec.name, set: &set, previous: previous.as_deref() });
    }

    /// Starts the counting and probing that is due, and decides by what is known now.
    pub(crate) fn advance(&mut self, observer: &mut dyn Observer) {
        let decided = self.policy.advance();
        if let Some(decision) = &decided
            && !self.decided.as_ref().is_some_and(|before| Arc::ptr_eq(before, decision))
        {
            observer.on(&Event::Decided { pool: &self.spec.name, decision });
            self.inherited = None;
        }
        self.decided = decided;
    }

    /// Returns what should be in force; `None` as long as too little is known.
    pub(crate) fn desired(&self) -> Option<Desired> {
        let spec = Arc::clone(&self.spec);
        match (&self.ready, &self.decided, &self.inherited) {
            (Some(backends), Some(decision), _) => Some(Desired::new(spec, Arc::clone(backends), Arc::clone(decision))),
            (_, _, Some(before)) => Some(Desired { spec, ..before.clone() }),
            _ => None,
        }
    }

    /// Asks for a plan for the counts of this moment, because Traefik is about to start its round robin from the top.
    pub(crate) fn renew(&mut self) {
        self.policy.renew();
    }

    /// Takes in that `desired` is in force, after a push that took this long.
    pub(crate) fn acknowledged(&mut self, desired: &Desired, took: Duration) {
        self.policy.acknowledged(&desired.decision, took);
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("spec", &self.spec)
            .field("policy", &self.policy)
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

/// Waits until each pool knows its backends and, for least connections, their counts, and returns what a controller would
/// push for them. It pushes nothing.
pub async fn plan(pools: impl IntoIterator<Item = Pool>, observer: &mut dyn Observer) -> DesiredPools {
    let mut desired = DesiredPools::new();
    for mut pool in pools {
        pool.announce(observer);
        let known = loop {
            pool.advance(observer);
            if let Some(known) = pool.desired() {
                break known;
            }
            let happened = pool.next().await;
            pool.take(happened, observer);
        };
        desired.insert(pool.name().clone(), known);
    }
    desired
}
