//! Closes live connections on purpose: asks each pool what it wants to close, and passes the orders to a closer.

mod answers;
mod convert;
mod facts;
mod given;
mod halves;
mod orders;
mod pool;
mod run;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use ilb_connections::{Ability, Closer, HalfSource, Outcome};
use ilb_reconciler::closing::{Done, Order, Turns, Verdict, Why};
use ilb_traefik_client::{Applied, Name};
use tokio::time::Instant;

use self::{
    convert::done,
    given::Given,
    halves::HalfWorkDone,
    orders::{OrderId, Orders, Started},
    pool::Known,
};
pub use self::{
    facts::ClosingFacts,
    orders::ClosingResult,
    run::{Run, RunEnd},
};
pub(crate) use self::{orders::Finished, pool::PoolClosing};
use crate::{
    counting::CountingWakeUp,
    desired::DesiredPools,
    event::{Event, Observer},
    pool::{Pool, PoolWakeUp},
};

/// Closes connections of pools, one pool at a time.
///
/// Holds whose turn it is, the orders that have no result yet, and since when the proxy that runs now has been seen. What is
/// to be closed is decided by the [`PoolClosing`] of each pool.
pub(crate) struct Closings {
    turns: Turns<Name>,
    orders: Orders,
    given: Given,
    /// The proxy that runs now, and the moment at which it was seen first.
    proxy: Option<(Option<String>, String, Instant)>,
}

impl Closings {
    /// Creates closings without a closer: everything is decided, and nothing is closed.
    pub(crate) fn new() -> Self {
        Self { turns: Turns::default(), orders: Orders::new(), given: Given::default(), proxy: None }
    }

    /// Sets what closes connections.
    pub(crate) fn set_closer(&mut self, closer: Arc<dyn Closer>) {
        self.orders.set_closer(closer);
    }

    /// Sets what lists the halves of clients' connections, so that those that closings leave behind are ended.
    pub(crate) fn set_halves(&mut self, source: Arc<dyn HalfSource>) {
        self.orders.halves.set_source(source);
    }

    /// Takes in a push that is in force.
    pub(crate) fn pushed(&mut self, applied: &Applied) {
        let is_same = |(instance, started, _): &(Option<String>, String, Instant)| {
            *instance == applied.instance && *started == applied.started.as_str()
        };
        if !self.proxy.as_ref().is_some_and(is_same) {
            self.proxy = Some((applied.instance.clone(), applied.started.as_str().to_owned(), Instant::now()));
        }
    }

    /// Lets the pools decide what to close, and starts what is due. `in_force` are the pools that are proved to be in force
    /// now. Returns the moment at which to advance again if nothing else happens.
    pub(crate) fn advance(
        &mut self,
        pools: &mut BTreeMap<Name, Pool>,
        in_force: Option<&DesiredPools>,
        observer: &mut dyn Observer,
    ) -> Option<Instant> {
        if !pools.values().any(Pool::may_close) {
            return None;
        }
        let now = Instant::now();
        // What is ordered together is decided together, and the next decision can wait until it is done.
        let waits_until = self.orders.recent_until(now);
        if waits_until.is_none() {
            self.decide(pools, in_force, observer);
        }
        let Started { cookie, late } = self.orders.start(pools.values().any(Pool::closes), now);
        if let Some(cookie) = cookie {
            self.given.start(cookie, now);
        }
        drop_orders(late, pools, observer);
        let decide_at = waits_until.or_else(|| pools.values().filter_map(Pool::close_again_at).min());
        decide_at.into_iter().chain(self.orders.wake_up(now)).min()
    }

    fn decide(
        &mut self,
        pools: &mut BTreeMap<Name, Pool>,
        in_force: Option<&DesiredPools>,
        observer: &mut dyn Observer,
    ) {
        let now = Instant::now();
        let known = Known {
            proxy_since: self.proxy.as_ref().map(|(_, _, since)| *since),
            has_closer: matches!(self.orders.ability(), Some(Ability::Able(_))),
        };
        let mut is_due = false;
        let mut given_away = given_away(pools);
        for (name, pool) in pools.iter_mut() {
            let of_other_pools = given_away.remove(name).unwrap_or_default();
            is_due |= pool.view_closing(&known, in_force.and_then(|in_force| in_force.get(name)), of_other_pools, now);
        }
        if !is_due {
            return;
        }
        let wants: Vec<(Name, Why)> =
            pools.iter().filter_map(|(name, pool)| Some((name.clone(), pool.wants_to_close(now)?))).collect();
        let holder = self.turns.next(wants);
        for (name, pool) in pools {
            let has_turn = holder.as_ref() == Some(name);
            let Some((generation, verdict)) = pool.decide_closing(has_turn, now, observer) else { continue };
            let Verdict { orders, is_dry_run, .. } = verdict;
            for order in orders {
                if is_dry_run {
                    report(name, &order, &ClosingResult::Shown, observer);
                } else {
                    self.orders.add(OrderId { pool: name.clone(), generation, order }, now);
                }
            }
        }
    }

    /// Waits for the result of an order or a question to the closer. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Finished {
        self.orders.next().await
    }

    /// Takes in what [`next`](Self::next) returned.
    pub(crate) fn finish(&mut self, finished: Finished, pools: &mut BTreeMap<Name, Pool>, observer: &mut dyn Observer) {
        match finished {
            Finished::Ability(ability) => {
                if let Some(ability) = self.orders.able(ability) {
                    observer.on(&Event::CloserChanged { ability });
                }
            }
            Finished::Half(HalfWorkDone::Listed(begun, halves)) => {
                if let Some(error) = self.orders.halves.listed(begun, halves) {
                    observer.on(&Event::ListingHalvesFailed { error: &error });
                }
            }
            Finished::Half(HalfWorkDone::Ended(half, outcome)) => {
                self.orders.halves.done(done(&outcome), Instant::now());
                observer.on(&Event::HalfClosed { half: &half, result: &ClosingResult::from(&outcome) });
                if let Outcome::Failed(_) = outcome {
                    drop_orders(self.orders.finished(&outcome), pools, observer);
                }
            }
            Finished::Order(OrderId { pool: name, generation, order }, ordered, outcome) => {
                self.orders.halves.closed(ordered, &outcome);
                let (result, done) = (ClosingResult::from(&outcome), done(&outcome));
                self.given.finish(order.cookie, &outcome);
                report(&name, &order, &result, observer);
                if let Some(pool) = pools.get_mut(&name) {
                    pool.closing_done(generation, &order, done, &result);
                }
                if done == Done::Closed {
                    // Also where the order's pool has been replaced, and in pools that share the backend.
                    for pool in pools.values_mut() {
                        pool.policy.closed_on_purpose(order.backend);
                    }
                }
                drop_orders(self.orders.finished(&outcome), pools, observer);
            }
        }
    }

    /// Leaves out the ends that are no evidence against a backend, because the closer has caused them.
    pub(crate) fn leave_out_ends(&self, wake_up: &mut PoolWakeUp) {
        if let PoolWakeUp::Counting(CountingWakeUp::Sampled(Ok(taken))) = wake_up {
            taken.sample.retain_endings(|ending| !ending.cookie.is_some_and(|cookie| self.given.contains(cookie)));
        }
    }

    /// Drops the orders of a pool that have not been started, because the pool is about to be removed or replaced.
    pub(crate) fn forget(&mut self, name: &Name, pools: &mut BTreeMap<Name, Pool>, observer: &mut dyn Observer) {
        drop_orders(self.orders.forget(name), pools, observer);
    }
}

/// Returns the backends that left each pool and that others have, for the pools that have some.
fn given_away(pools: &BTreeMap<Name, Pool>) -> BTreeMap<Name, BTreeSet<SocketAddr>> {
    let has = |pool: &Pool, backend: SocketAddr| pool.backends().is_some_and(|own| own.get(&backend).is_some());
    let mut given_away: BTreeMap<Name, BTreeSet<SocketAddr>> = BTreeMap::new();
    for (name, pool) in pools {
        for backend in pool.left_backends().filter(|backend| pools.values().any(|other| has(other, *backend))) {
            given_away.entry(name.clone()).or_default().insert(backend);
        }
    }
    given_away
}

/// Takes in that these orders will not be executed.
fn drop_orders(orders: Vec<OrderId>, pools: &mut BTreeMap<Name, Pool>, observer: &mut dyn Observer) {
    for OrderId { pool: name, generation, order } in orders {
        report(&name, &order, &ClosingResult::NotTried, observer);
        if let Some(pool) = pools.get_mut(&name) {
            pool.closing_done(generation, &order, Done::NotNow, &ClosingResult::NotTried);
        }
    }
}

fn report(pool: &Name, order: &Order, result: &ClosingResult, observer: &mut dyn Observer) {
    observer.on(&Event::ConnectionClosed { pool, order, result });
}
