//! The loop: one task that owns all state.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, select_all},
};
use ilb_reconciler::{
    Pushes,
    pushes::{Failure, Next},
};
use ilb_traefik_client::{Applied, ConfigSink, Configuration, Name};
use tokio::{
    sync::mpsc,
    time::{self, Instant},
};

use crate::{Desired, DesiredPools, Event, Observer, Pool, counting::sleep_until, event::Observers, pool::Happened};

/// Keeps a sink configured for its pools: takes in what the pools see, pushes what should be in force, and proves that it
/// still is.
///
/// Holds the pools, what was pushed for them, and the one piece of work under way with the sink. Everything happens in the
/// task that calls [`run`](Self::run).
pub struct Controller {
    pools: BTreeMap<Name, Pool>,
    changes: Option<mpsc::Receiver<PoolChanges>>,
    /// The configuration that the pools are added to.
    base: Configuration,
    sink: Arc<dyn ConfigSink>,
    observers: Observers,
    /// The moment until which the first push waits for pools whose backends are not known; `None` after that push.
    first_push: Option<Instant>,
    pushes: Pushes<DesiredPools, Applied>,
    /// The push or proof under way: one at a time.
    work: Option<BoxFuture<'static, Done>>,
}

/// Pools to add and to remove while a controller runs. An added pool takes the place of one with the same name.
#[derive(Debug, Default)]
pub struct PoolChanges {
    /// The names of the pools that are no longer followed.
    pub removed: Vec<Name>,
    /// The new pools.
    pub added: Vec<Pool>,
}

/// The outcome of work with the sink.
enum Done {
    Push(DesiredPools, Result<Applied, ilb_traefik_client::Error>),
    Proof(Result<(), ilb_traefik_client::Error>),
}

impl Controller {
    /// The longest time between two [`Event::Alive`].
    pub const HEARTBEAT: Duration = Duration::from_secs(1);

    /// The longest time for which the first push waits for pools whose backends are not known yet.
    ///
    /// A push replaces everything that Traefik has from this process. After a restart of it Traefik still serves all
    /// pools, and a push without one of them would take that pool out of service.
    pub const MAX_FIRST_PUSH_DELAY: Duration = Duration::from_secs(10);

    /// Creates a controller of `pools` that configures `sink`.
    pub fn new(sink: Arc<dyn ConfigSink>, pools: impl IntoIterator<Item = Pool>) -> Self {
        Self {
            pools: pools.into_iter().map(|pool| (pool.name().clone(), pool)).collect(),
            changes: None,
            base: Configuration::default(),
            sink,
            observers: Observers::default(),
            first_push: None,
            pushes: Pushes::new(),
            work: None,
        }
    }

    /// Adds an observer. Observers are called in the order in which they were added.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observers.add(observer);
        self
    }

    /// Takes the changes of pools that arrive while it runs from `changes`.
    #[must_use]
    pub fn with_changes(self, changes: mpsc::Receiver<PoolChanges>) -> Self {
        Self { changes: Some(changes), ..self }
    }

    /// Pushes the pools together with `base`, for example a default certificate.
    #[must_use]
    pub fn with_base(self, base: Configuration) -> Self {
        Self { base, ..self }
    }

    /// Runs until `stop` is ready, and then leaves Traefik as it is. A push in flight is dropped: Traefik either has taken
    /// it as a whole or not at all.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        self.first_push = Some(Instant::now() + Self::MAX_FIRST_PUSH_DELAY);
        for pool in self.pools.values() {
            pool.announce(&mut self.observers);
        }
        loop {
            self.observers.on(&Event::Alive);
            let wake_up = self.advance();
            tokio::select! {
                biased;
                () = &mut stop => return,
                done = finished(&mut self.work) => self.done(done),
                Some(changes) = received(&mut self.changes) => self.change(changes),
                Some((pool, happened)) = next(&mut self.pools) => pool.take(happened, &mut self.observers),
                () = sleep_until(wake_up) => {}
                () = time::sleep(Self::HEARTBEAT) => {}
            }
        }
    }

    /// Starts what is due. Returns when to look again if nothing else happens.
    fn advance(&mut self) -> Option<Instant> {
        if let Some(desired) = self.desired() {
            self.pushes.desire(desired);
        }
        match self.pushes.next(Instant::now().into_std()) {
            Next::Push(desired) => {
                self.observers.on(&Event::PushStarted { desired: &desired });
                let (sink, configuration) = (Arc::clone(&self.sink), self.configuration(&desired));
                self.work = Some(Box::pin(async move { Done::Push(desired, sink.apply(&configuration).await) }));
                None
            }
            Next::Prove(applied) => {
                let sink = Arc::clone(&self.sink);
                self.work = Some(Box::pin(async move { Done::Proof(sink.verify(&applied).await) }));
                None
            }
            Next::WaitUntil(moment) => Some(moment.into()),
            Next::Idle => None,
        }
    }

    /// Returns what should be in force; `None` as long as nothing should be pushed. A pool of which too little is known is
    /// not part of it.
    fn desired(&mut self) -> Option<DesiredPools> {
        let desired = self.decide();
        let waiting = self.first_push.is_some_and(|until| Instant::now() < until) && desired.len() < self.pools.len();
        if desired.is_empty() || waiting {
            return None;
        }
        self.first_push = None;
        let before = self.pushes.acknowledged().filter(|before| **before != desired && !self.pushes.is_pushing());
        let Some(before) = before.filter(|_| desired.len() > 1) else { return Some(desired) };
        // The push of one pool makes Traefik start the round robin of every pool from the top.
        for (name, pool) in &mut self.pools {
            if before.get(name) == desired.get(name) {
                pool.renew();
            }
        }
        Some(self.decide())
    }

    /// Lets each pool decide by what it knows now.
    fn decide(&mut self) -> DesiredPools {
        let Self { pools, observers, .. } = self;
        let desired = |(name, pool): (&Name, &mut Pool)| {
            pool.advance(observers);
            Some((name.clone(), pool.desired()?))
        };
        pools.iter_mut().filter_map(desired).collect()
    }

    fn configuration(&self, desired: &DesiredPools) -> Configuration {
        let mut configuration = self.base.clone();
        for pool in desired.values() {
            pool.add_to(&mut configuration);
        }
        configuration
    }

    fn change(&mut self, changes: PoolChanges) {
        for name in &changes.removed {
            if self.pools.remove(name).is_some() {
                self.observers.on(&Event::PoolRemoved { pool: name });
            }
        }
        for mut pool in changes.added {
            if let Some(before) = self.pools.get(pool.name()) {
                pool.replace(before);
            }
            pool.announce(&mut self.observers);
            self.pools.insert(pool.name().clone(), pool);
        }
    }

    fn done(&mut self, done: Done) {
        let now = Instant::now().into_std();
        match done {
            Done::Push(desired, Ok(applied)) => {
                let none = DesiredPools::new();
                let previous = self.pushes.acknowledged().unwrap_or(&none);
                self.observers.on(&Event::Pushed { desired: &desired, previous, applied: &applied });
                for (pool, desired) in both(&mut self.pools, &desired) {
                    pool.acknowledged(desired, applied.took);
                }
                self.pushes.succeeded(applied, now);
            }
            Done::Push(_, Err(error)) => {
                self.observers.on(&Event::PushFailed { error: &error });
                let failure = if error.is_retryable() { Failure::Retryable } else { Failure::Permanent };
                self.pushes.failed(failure, now);
            }
            Done::Proof(Ok(())) => {
                self.observers.on(&Event::ProofHeld);
                self.pushes.proved(now);
            }
            Done::Proof(Err(error)) => {
                self.observers.on(&Event::ProofLost { error: &error });
                self.pushes.lost();
            }
        }
    }
}

impl fmt::Debug for Controller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Controller")
            .field("pools", &self.pools)
            .field("pushes", &self.pushes)
            .field("first_push", &self.first_push)
            .finish_non_exhaustive()
    }
}

/// Returns the pools that are there and have a part in `desired`.
fn both<'a>(
    pools: &'a mut BTreeMap<Name, Pool>,
    desired: &'a DesiredPools,
) -> impl Iterator<Item = (&'a mut Pool, &'a Desired)> {
    pools.iter_mut().filter_map(|(name, pool)| Some((pool, desired.get(name)?)))
}

/// Waits until something has happened to one of the pools; `None` without pools.
async fn next(pools: &mut BTreeMap<Name, Pool>) -> Option<(&mut Pool, Happened)> {
    if pools.is_empty() {
        return None;
    }
    let (happened, index, _) = select_all(pools.values_mut().map(|pool| pool.next().boxed())).await;
    pools.values_mut().nth(index).map(|pool| (pool, happened))
}

/// Waits for changes of pools; `None` if no more can come.
async fn received(changes: &mut Option<mpsc::Receiver<PoolChanges>>) -> Option<PoolChanges> {
    changes.as_mut()?.recv().await
}

/// Waits for `work` to end, and takes it away. Without work it never ends.
async fn finished(work: &mut Option<BoxFuture<'static, Done>>) -> Done {
    match work {
        None => std::future::pending().await,
        Some(running) => {
            let done = running.await;
            *work = None;
            done
        }
    }
}

#[cfg(test)]
mod tests;
