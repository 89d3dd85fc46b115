//! What closings leave behind of connections with clients that ignore the end.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use ilb_connections::{Ability, Half, How, Limits, Order, Outcome};
use ilb_reconciler::{
    ClosingPolicy, Pacing,
    closing::{Halves, Rebalance, Settle},
};

use super::*;
use crate::testing::{Counts, address};

/// A proxy whose clients ignore the end of their connections, and open another one.
#[derive(Default)]
struct Proxy {
    counts: Counts,
    halves: Mutex<Vec<Half>>,
    lists: AtomicUsize,
    cannot_list: AtomicBool,
    /// Orders to close connections to backends, and halves.
    closed: AtomicUsize,
    ended: Mutex<Vec<Order>>,
}

/// A share of the [`Proxy`].
#[derive(Clone, Default)]
struct Shared(Arc<Proxy>);

const BEFORE: u64 = 1_000_000;

impl Shared {
    /// Lets a client ignore the end of its connection.
    fn leave(&self, cookie: u64) {
        let (local, client) = (([10, 0, 9, 9], 3333).into(), ([192, 0, 2, 1], 50_000).into());
        self.0.halves.lock().unwrap().push(Half::new(cookie, local, client, Instant::now().into_std()));
    }

    fn left(&self) -> Vec<u64> {
        self.0.halves.lock().unwrap().iter().map(|half| half.cookie).collect()
    }

    fn lists(&self) -> usize {
        self.0.lists.load(Ordering::Relaxed)
    }

    fn closed(&self) -> usize {
        self.0.closed.load(Ordering::Relaxed)
    }

    /// Starts a controller of a pool that is to be levelled by 20 closings.
    fn start(&self, is_dry_run: bool) -> mpsc::UnboundedReceiver<&'static str> {
        let rebalance = Rebalance { rate_permille: 1_000, ..Rebalance::default() };
        let policy = ClosingPolicy {
            rebalance: Some(rebalance),
            settle: Settle(Duration::from_secs(10)),
            dry_run: is_dry_run,
            ..ClosingPolicy::default()
        };
        self.0.counts.connect(&[20, 20, 0, 0]);
        let (pool, discovery) = pool("a", "a", Policy::least_connections(self.0.counts.counter(), Pacing::default()));
        let (sink, _) = Arc::new(Script::default()).sink();
        let (sender, told) = mpsc::unbounded_channel();
        let controller = Controller::new(Arc::new(sink), [pool.with_closing(policy)])
            .with_halves(Arc::new(self.clone()))
            .with_closer(Arc::new(self.clone()))
            .with_observer(move |event: &Event<'_>| {
                let _ = sender.send(name_of(event));
            });
        tokio::spawn(async move {
            let run = controller.run(std::future::pending());
            discovery.send(Ok(set(4))).await.unwrap();
            run.await;
            drop(discovery);
        });
        told
    }
}

#[async_trait]
impl HalfSource for Shared {
    async fn halves(&self, ports: &BTreeSet<u16>) -> Result<Vec<Half>, ilb_connections::Error> {
        assert_eq!(*ports, BTreeSet::from([3333]), "the closer's entry port");
        self.0.lists.fetch_add(1, Ordering::Relaxed);
        if self.0.cannot_list.load(Ordering::Relaxed) {
            return Err(ilb_connections::Error::Cancelled);
        }
        let now = Instant::now().into_std();
        let mut halves = self.0.halves.lock().unwrap().clone();
        for half in &mut halves {
            half.silent = now.duration_since(half.since.unwrap());
        }
        Ok(halves)
    }
}

#[async_trait]
impl Closer for Shared {
    async fn close(&self, order: &Order) -> Outcome {
        if order.how == How::Half {
            let mut halves = self.0.halves.lock().unwrap();
            let index = halves.iter().position(|half| half.cookie == order.cookie).unwrap();
            let silent = Instant::now().into_std().duration_since(halves.remove(index).since.unwrap());
            assert!(silent >= order.only_if.quiet && silent >= Halves::GRACE, "{silent:?}");
            self.0.ended.lock().unwrap().push(*order);
            return Outcome::Closed;
        }
        assert!(self.0.counts.end(order.cookie, (0..4).map(address)));
        self.0.closed.fetch_add(1, Ordering::Relaxed);
        self.leave(order.cookie);
        Outcome::Closed
    }

    async fn ability(&self) -> Ability {
        Ability::Able(Limits::new(["10.0.0.0/8".parse().unwrap()], [3333], [3333]).unwrap())
    }
}

/// Waits for this many events of a name.
async fn wait_for(told: &mut mpsc::UnboundedReceiver<&'static str>, name: &str, number: usize) {
    let waiting = async {
        let mut left = number;
        while left > 0 {
            left -= usize::from(told.recv().await.unwrap() == name);
        }
    };
    timeout(Duration::from_secs(3_600), waiting).await.expect(name);
}

#[tokio::test(start_paused = true)]
async fn what_closings_leave_behind_is_ended_and_what_was_there_before_stays() {
    let proxy = Shared::default();
    proxy.leave(BEFORE);
    let mut told = proxy.start(false);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!((proxy.lists(), proxy.closed()), (0, 0), "nothing is listed as long as nothing is closed");
    wait_for(&mut told, "HalfClosed", 20).await;
    assert_eq!((proxy.closed(), proxy.left()), (20, vec![BEFORE]));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let lists = proxy.lists();
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!((proxy.lists(), proxy.left()), (lists, vec![BEFORE]), "nothing is left to look for");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_neither_lists_nor_ends_anything() {
    let proxy = Shared::default();
    proxy.leave(BEFORE);
    let mut told = proxy.start(true);
    wait_for(&mut told, "ConnectionClosed", 10).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((proxy.lists(), proxy.closed(), proxy.left()), (0, 0, vec![BEFORE]));
}

#[tokio::test(start_paused = true)]
async fn connections_are_closed_although_halves_cannot_be_listed_and_what_is_left_of_them_stays() {
    let proxy = Shared::default();
    proxy.0.cannot_list.store(true, Ordering::Relaxed);
    let mut told = proxy.start(false);
    wait_for(&mut told, "ListingHalvesFailed", 1).await;
    wait_for(&mut told, "ClosingsEnded", 1).await;
    assert_eq!(proxy.closed(), 20);
    proxy.0.cannot_list.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((proxy.left().len(), proxy.0.ended.lock().unwrap().len()), (20, 0));
}
