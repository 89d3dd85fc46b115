//! The loop: one task that owns all state.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use futures_util::{
    FutureExt, Stream, StreamExt,
    future::{BoxFuture, select_all},
    stream::BoxStream,
};
use ilb_connections::{Closer, HalfSource};
use ilb_discovery::{Backend, BackendSet};
use ilb_reconciler::{
    Pushes,
    pushes::{Failure, Next},
};
use ilb_traefik_client::{
    Applied, ConfigSink, Configuration, Error, Member, Name, fleet::InstanceChange, rivalry::Rivalry,
};
use tokio::{
    sync::mpsc,
    time::{self, Instant},
};

use crate::{
    closing::Closings,
    counting::sleep_until,
    desired::{Desired, DesiredPools},
    event::{Event, Observer, Observers},
    first_push::{FirstPush, may_answer_later},
    pool::{Pool, PoolWakeUp},
    siblings::{Siblings, heard},
};

/// Keeps a sink configured for its pools: pushes the desired state, and proves that it is still in force.
///
/// Holds the pools, the acknowledged state, and the push or proof under way. Everything happens in the task that calls
/// [`run`](Self::run).
pub struct Controller {
    pools: BTreeMap<Name, Pool>,
    changes: Option<mpsc::Receiver<PoolChanges>>,
    instances: Option<BoxStream<'static, InstanceChange>>,
    /// The configuration that the pools are added to.
    base: Configuration,
    sink: Arc<dyn ConfigSink>,
    observers: Observers,
    first_push: FirstPush,
    pushes: Pushes<DesiredPools, Applied>,
    /// The part of the last successful push that was in force, even if it has been lost since.
    in_force: DesiredPools,
    rivalry: Rivalry,
    /// True if observers have been told of a rival.
    has_rival: bool,
    /// True if an instance of a fleet has been found to have pools that are not part of the configuration.
    has_more_pools: bool,
    /// The push, proof or question under way: one at a time.
    work: Option<BoxFuture<'static, Outcome>>,
    closings: Closings,
    siblings: Option<Siblings>,
}

/// Pools to add and to remove while a controller runs. An added pool replaces the one with the same name.
#[derive(Debug, Default)]
pub struct PoolChanges {
    /// Names of the pools to remove.
    pub removed: Vec<Name>,
    /// Pools to add.
    pub added: Vec<Pool>,
}

/// Outcome of work with the sink.
enum Outcome {
    Push(DesiredPools, Result<Applied, Error>),
    Proof(Result<(), Error>),
    PoolsInForce(Result<BTreeMap<Name, Vec<Member>>, Error>),
}

impl Controller {
    /// Maximum time between two [`Event::Alive`].
    pub const HEARTBEAT: Duration = Duration::from_secs(1);

    /// Maximum time for which the first push waits for pools whose backends are not known yet.
    ///
    /// A push replaces everything that Traefik has from this process. After a restart of this process Traefik still
    /// serves all pools, and a push without one of them would take that pool out of service. So after this time Traefik
    /// is asked which backends it has of the pools that are still unknown, and these stay until discovery knows better.
    pub const MAX_FIRST_PUSH_DELAY: Duration = Duration::from_secs(10);

    /// Creates a controller of `pools` that configures `sink`.
    pub fn new(sink: Arc<dyn ConfigSink>, pools: impl IntoIterator<Item = Pool>) -> Self {
        Self {
            pools: pools.into_iter().map(|pool| (pool.name().clone(), pool)).collect(),
            changes: None,
            instances: None,
            base: Configuration::default(),
            sink,
            observers: Observers::default(),
            first_push: FirstPush::Over,
            pushes: Pushes::new(),
            in_force: DesiredPools::new(),
            rivalry: Rivalry::new(),
            has_rival: false,
            has_more_pools: false,
            work: None,
            closings: Closings::new(),
            siblings: None,
        }
    }

    /// Adds an observer. Observers are called in the order in which they were added.
    #[must_use]
    pub fn with_observer(mut self, observer: impl Observer + 'static) -> Self {
        self.observers.add(observer);
        self
    }

    /// Applies the changes of pools that arrive on `changes` while the controller runs.
    #[must_use]
    pub fn with_changes(self, changes: mpsc::Receiver<PoolChanges>) -> Self {
        Self { changes: Some(changes), ..self }
    }

    /// Reports the changes of a fleet's instances, which [`Fleet::watch_instances`](ilb_traefik_client::Fleet) returns, to
    /// the observers.
    #[must_use]
    pub fn with_instances(self, instances: impl Stream<Item = InstanceChange> + Send + 'static) -> Self {
        Self { instances: Some(instances.boxed()), ..self }
    }

    /// Closes live connections of the pools that [want that](Pool::with_closing) by `closer`. Without one they only report
    /// which ones they would close.
    #[must_use]
    pub fn with_closer(mut self, closer: Arc<dyn Closer>) -> Self {
        self.closings.set_closer(closer);
        self
    }

    /// Ends what closings leave behind of connections with clients that ignore the end, as `source` lists them. Without it,
    /// that is left to the proxy.
    #[must_use]
    pub fn with_halves(mut self, source: Arc<dyn HalfSource>) -> Self {
        self.closings.set_halves(source);
        self
    }

    /// Pushes the pools together with `base`, for example a default certificate.
    #[must_use]
    pub fn with_base(self, base: Configuration) -> Self {
        Self { base, ..self }
    }

    /// Runs until `stop` is ready, and then leaves Traefik as it is. A push in flight is dropped: Traefik applies it
    /// either as a whole or not at all.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        self.first_push = FirstPush::waiting(Instant::now() + Self::MAX_FIRST_PUSH_DELAY);
        self.begin_exchange();
        for pool in self.pools.values() {
            pool.announce(&mut self.observers);
        }
        loop {
            self.observers.on(&Event::Alive);
            let awaited = self.advance_exchange();
            let wake_up = self.advance().into_iter().chain(self.advance_closings()).chain(awaited).min();
            tokio::select! {
                biased;
                () = &mut stop => return,
                outcome = finished(&mut self.work) => self.finish(outcome),
                Some(changes) = received(&mut self.changes) => self.apply_changes(changes),
                Some(change) = next_of(&mut self.instances) => {
                    let InstanceChange { instance, state, .. } = &change;
                    self.has_more_pools |= state.as_ref().is_some_and(|state| state.has_more_pools);
                    self.observers.on(&Event::InstanceChanged { instance, state: state.as_ref() });
                }
                finished = self.closings.next() => {
                    self.closings.finish(finished, &mut self.pools, &mut self.observers);
                }
                event = heard(&mut self.siblings) => self.heard(event),
                Some((pool, mut wake_up)) = next(&mut self.pools) => {
                    let is_sample = wake_up.is_sample();
                    self.closings.leave_out_ends(&mut wake_up);
                    pool.handle(wake_up, &mut self.observers);
                    self.siblings.iter().filter(|_| is_sample).for_each(|siblings| siblings.publish(pool));
                }
                () = sleep_until(wake_up) => {}
                () = time::sleep(Self::HEARTBEAT) => {}
            }
        }
    }

    /// Starts what is due. Returns the moment at which to advance again if nothing else happens.
    fn advance(&mut self) -> Option<Instant> {
        let now = Instant::now();
        self.report_rival(now);
        if let Some(desired) = self.decide() {
            self.pushes.desire(desired);
        }
        if self.first_push.ask(now) || self.asks_again() {
            let sink = Arc::clone(&self.sink);
            self.work = Some(Box::pin(async move { Outcome::PoolsInForce(sink.pools_in_force().await) }));
        }
        if self.pools.values().any(Pool::awaits_counts) {
            // They arrive within milliseconds, and the pool wakes up for them.
            return None;
        }
        match self.pushes.next(now.into_std()) {
            Next::Push(desired) => {
                self.observers.on(&Event::PushStarted { desired: &desired });
                let (sink, configuration) = (Arc::clone(&self.sink), self.configuration(&desired));
                self.work = Some(Box::pin(async move { Outcome::Push(desired, sink.apply(&configuration).await) }));
                None
            }
            Next::Prove(applied) => {
                let sink = Arc::clone(&self.sink);
                self.work = Some(Box::pin(async move { Outcome::Proof(sink.verify(&applied).await) }));
                None
            }
            Next::WaitUntil(moment) => Some(moment.into()),
            Next::Idle => self.first_push.wake_up(),
        }
    }

    /// Closes what is due. Returns the moment at which to advance again if nothing else happens.
    fn advance_closings(&mut self) -> Option<Instant> {
        let in_force = self.pushes.acknowledged().map(|_| &self.in_force);
        self.closings.advance(&mut self.pools, in_force, &mut self.observers)
    }

    /// Returns whether to ask again which pools are in force: an instance of a fleet that could not be asked before has more
    /// of them, and the backends of a pool are still not known.
    fn asks_again(&mut self) -> bool {
        let is_due = self.has_more_pools && self.work.is_none() && self.first_push.is_over();
        if is_due {
            self.has_more_pools = false;
        }
        is_due && self.pools.values().any(|pool| pool.desired().is_none())
    }

    /// Lets each pool decide and returns what should be in force; `None` as long as nothing should be pushed. A pool of
    /// which too little is known is not part of it.
    fn decide(&mut self) -> Option<DesiredPools> {
        // What is decided during a push cannot be pushed before its end, and with thousands of backends a decision about
        // each set would cost more than the push.
        if !self.pushes.is_pushing() {
            let new_sets = self.pools.values_mut().map(Pool::take_in_set).filter(|is_new| *is_new).count();
            if new_sets > 0 {
                self.find_shared_backends();
            }
        }
        let desired = self.advance_pools();
        if !self.pools.is_empty() && desired.len() == self.pools.len() {
            self.first_push = FirstPush::Over;
        }
        if desired.is_empty() || !self.first_push.is_over() || self.awaits_siblings() {
            return None;
        }
        let before = self.pushes.acknowledged().filter(|before| **before != desired && !self.pushes.is_pushing());
        let Some(before) = before.filter(|_| desired.len() > 1) else { return Some(desired) };
        let is_changed = |name: &Name| before.get(name) != desired.get(name);
        let changes_traefik =
            |name: &Name| is_changed(name) && !self.stays_left_out(before.get(name), desired.get(name));
        if !desired.keys().chain(before.keys()).any(changes_traefik) {
            return Some(desired);
        }
        // The push of one pool makes Traefik start the round robin of every pool from the top.
        for (_, pool) in self.pools.iter_mut().filter(|(name, _)| !is_changed(name)) {
            pool.renew();
        }
        Some(self.advance_pools())
    }

    /// Tells each pool which of its backends other pools have, too.
    fn find_shared_backends(&mut self) {
        let mut shared = BTreeSet::new();
        if self.pools.len() > 1 {
            let mut seen = BTreeSet::new();
            let all = self.pools.values().filter_map(Pool::backends).flat_map(BackendSet::iter).map(Backend::address);
            shared.extend(all.filter(|address| !seen.insert(*address)));
        }
        let Self { pools, observers, .. } = self;
        for pool in pools.values_mut() {
            let is_own = |address: &&SocketAddr| pool.backends().is_some_and(|own| own.get(address).is_some());
            let own = shared.iter().filter(is_own).copied().collect();
            pool.set_shared(&own, observers);
        }
    }

    /// Returns whether the last push went to Traefik without this pool, and the next one will, too, so that changes of the
    /// pool change nothing there.
    fn stays_left_out(&self, before: Option<&Desired>, desired: Option<&Desired>) -> bool {
        let Some(before) = before else { return false };
        let fault = self.pushes.proof().and_then(|proof| proof.faults.get(&before.spec.name));
        let moves = desired.is_some_and(|desired| desired.spec.entry_point != before.spec.entry_point);
        matches!(fault, Some(Error::EntryPointMissing { .. })) && !moves
    }

    /// Starts what is due in each pool and returns the desired state of those that know enough.
    fn advance_pools(&mut self) -> DesiredPools {
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

    fn apply_changes(&mut self, changes: PoolChanges) {
        let is_added = |name: &Name| changes.added.iter().any(|pool| pool.name() == name);
        let (replaced, removed): (Vec<_>, Vec<_>) = changes.removed.into_iter().partition(is_added);
        self.remove(&replaced);
        // Before the others are removed, so that observers see no moment without pools.
        for mut pool in changes.added {
            let name = pool.name().clone();
            self.siblings.iter().for_each(|siblings| siblings.add(&mut pool));
            self.closings.forget(&name, &mut self.pools, &mut self.observers);
            if let Some(before) = self.pools.get_mut(&name) {
                before.end_closings(&mut self.observers);
                pool.replace(before);
            }
            pool.announce(&mut self.observers);
            self.pools.insert(pool.name().clone(), pool);
        }
        self.remove(&removed);
        self.find_shared_backends();
        self.siblings.iter().for_each(|siblings| siblings.retain(&self.pools));
    }

    fn remove(&mut self, names: &[Name]) {
        for name in names {
            self.closings.forget(name, &mut self.pools, &mut self.observers);
            if let Some(mut pool) = self.pools.remove(name) {
                pool.end_closings(&mut self.observers);
                self.observers.on(&Event::PoolRemoved { pool: name });
            }
        }
    }

    fn finish(&mut self, outcome: Outcome) {
        let now = Instant::now();
        match outcome {
            Outcome::Push(desired, Ok(applied)) => self.pushed(&desired, applied, now),
            Outcome::Push(_, Err(error)) => {
                let failure = if error.is_retryable() { Failure::Retryable } else { Failure::Permanent };
                self.pushes.failed(failure, now.into_std());
                self.note_replacement(&error, now);
                self.observers.on(&Event::PushFailed { error: &error });
                self.recount();
            }
            Outcome::Proof(Ok(())) => {
                self.observers.on(&Event::ProofHeld);
                self.pushes.proved(now.into_std());
            }
            Outcome::Proof(Err(error)) => {
                self.pushes.lost();
                self.note_replacement(&error, now);
                self.observers.on(&Event::ProofLost { error: &error });
                self.recount();
            }
            Outcome::PoolsInForce(answer) => self.pools_in_force(answer, now),
        }
    }

    /// Takes in a push of which at least a part is in force.
    fn pushed(&mut self, desired: &DesiredPools, applied: Applied, now: Instant) {
        let is_in_force = |name: &Name| !applied.faults.contains_key(name);
        let in_force: DesiredPools =
            desired.iter().filter(|(name, _)| is_in_force(name)).map(|(n, d)| (n.clone(), d.clone())).collect();
        self.closings.pushed(&applied);
        self.observers.on(&Event::Pushed { desired: &in_force, previous: &self.in_force, applied: &applied });
        // Traefik ignores a configuration that it has already: its round robin goes on where it is.
        let was_ignored = self.pushes.proof().is_some_and(|proof| {
            (&proof.revision, &proof.instance, &proof.started)
                == (&applied.revision, &applied.instance, &applied.started)
        });
        for (pool, desired) in pools_of(&mut self.pools, &in_force) {
            if !(was_ignored && self.in_force.get(pool.name()) == Some(desired)) {
                pool.acknowledged(desired, applied.took);
            }
        }
        self.in_force = in_force;
        if applied.faults.is_empty() {
            self.pushes.succeeded(applied, now.into_std());
        } else {
            self.pushes.succeeded_in_part(applied, now.into_std());
        }
    }

    /// Takes in the backends that Traefik has, for the pools whose own are not known.
    fn pools_in_force(&mut self, answer: Result<BTreeMap<Name, Vec<Member>>, Error>, now: Instant) {
        match answer {
            Ok(in_force) => {
                for (name, pool) in &mut self.pools {
                    if let Some(members) = in_force.get(name)
                        && pool.inherit(members)
                    {
                        self.observers.on(&Event::BackendsInherited { pool: name, backends: members.len() });
                    }
                }
                self.first_push = FirstPush::Over;
            }
            Err(error) => {
                if self.first_push.is_over() {
                    // It was asked again, and the instance has gone away again: it will be asked before it is configured.
                    return;
                }
                if may_answer_later(&error) {
                    self.first_push.unanswered(now);
                } else {
                    self.first_push = FirstPush::Over;
                }
                self.observers.on(&Event::PushFailed { error: &error });
            }
        }
    }

    /// Lets the next push have the counts of its moment, not those of the push that is no longer or never was in force.
    fn recount(&mut self) {
        self.pools.values_mut().for_each(Pool::recount);
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

/// Returns each pool that is part of `desired`, together with that part.
fn pools_of<'a>(
    pools: &'a mut BTreeMap<Name, Pool>,
    desired: &'a DesiredPools,
) -> impl Iterator<Item = (&'a mut Pool, &'a Desired)> {
    pools.iter_mut().filter_map(|(name, pool)| Some((pool, desired.get(name)?)))
}

/// Waits until one of the pools wakes up; `None` without pools.
async fn next(pools: &mut BTreeMap<Name, Pool>) -> Option<(&mut Pool, PoolWakeUp)> {
    if pools.is_empty() {
        return None;
    }
    let (wake_up, index, _) = select_all(pools.values_mut().map(|pool| pool.next().boxed())).await;
    pools.values_mut().nth(index).map(|pool| (pool, wake_up))
}

/// Waits for the next item; `None` at the end of the stream, or if there is none.
async fn next_of<T>(stream: &mut Option<BoxStream<'static, T>>) -> Option<T> {
    stream.as_mut()?.next().await
}

/// Waits for changes of pools; `None` if the channel is closed or there is none.
async fn received(changes: &mut Option<mpsc::Receiver<PoolChanges>>) -> Option<PoolChanges> {
    changes.as_mut()?.recv().await
}

/// Waits for `work` to finish, and removes it. Without work it never returns.
async fn finished(work: &mut Option<BoxFuture<'static, Outcome>>) -> Outcome {
    match work {
        None => std::future::pending().await,
        Some(running) => {
            let outcome = running.await;
            *work = None;
            outcome
        }
    }
}

mod exchange;
mod rival;
#[cfg(test)]
mod tests;
