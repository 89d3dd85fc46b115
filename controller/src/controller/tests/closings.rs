//! Live connections that are closed on purpose.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use ilb_connections::{Ability, Limits, Order, Outcome, Refusal};
use ilb_discovery::{Backend, State, testing::FakeDiscovery};
use ilb_reconciler::{
    ClosingPolicy, Pacing,
    closing::{ClosingState, Drain, Hold, HourlyBudget, PauseReason, Rebalance, Role, Settle},
};

use super::*;
use crate::{
    ClosingResult, RunEnd,
    testing::{Counts, address},
};

/// A closer whose clients come back to the least loaded of the first backends.
struct ScriptedCloser {
    counts: Counts,
    /// Number of backends that clients come back to; zero if they stay away.
    backends: u8,
    ability: Mutex<Ability>,
    /// The outcome of each order, if it is not to be executed.
    outcome: Mutex<Option<Outcome>>,
    orders: AtomicUsize,
}

impl ScriptedCloser {
    fn new(counts: &Counts, backends: u8, ability: Ability) -> Arc<Self> {
        Arc::new(Self {
            counts: counts.clone(),
            backends,
            ability: Mutex::new(ability),
            outcome: Mutex::default(),
            orders: AtomicUsize::new(0),
        })
    }
}

#[async_trait]
impl Closer for ScriptedCloser {
    async fn close(&self, order: &Order) -> Outcome {
        self.orders.fetch_add(1, Ordering::Relaxed);
        if let Some(outcome) = self.outcome.lock().unwrap().clone() {
            return outcome;
        }
        if self.counts.end(order.cookie, (0..self.backends).map(address)) { Outcome::Closed } else { Outcome::Gone }
    }

    async fn ability(&self) -> Ability {
        self.ability.lock().unwrap().clone()
    }
}

fn able() -> Ability {
    Ability::Able(Limits::new(["10.0.0.0/8".parse().unwrap()], [3333], [3333]).unwrap())
}

/// A running controller of one pool with connections to close.
struct Closed {
    discovery: mpsc::Sender<Published>,
    changes: mpsc::Sender<PoolChanges>,
    script: Arc<Script>,
    counts: Counts,
    closer: Arc<ScriptedCloser>,
    told: mpsc::UnboundedReceiver<Told>,
}

/// Facts of an event about closings.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Began {
        planned: u64,
        is_dry_run: bool,
    },
    Ended {
        closed: u64,
        end: RunEnd,
    },
    State(ClosingState),
    Result(&'static str),
    Able(bool),
    /// Ends of connections that a sample shows.
    Ends(usize),
    Suspicion,
}

fn told(event: &Event<'_>) -> Option<Told> {
    Some(match event {
        Event::ClosingsBegan { run, .. } => Told::Began { planned: run.planned, is_dry_run: run.is_dry_run },
        Event::ClosingsEnded { run, end, .. } => Told::Ended { closed: run.closed, end: *end },
        Event::ClosingStateChanged { state, .. } => Told::State(*state),
        Event::ConnectionClosed { result, .. } => Told::Result(result.name()),
        Event::CloserChanged { ability } => Told::Able(matches!(ability, Ability::Able(_))),
        Event::Sampled { sample, .. } if !sample.endings().is_empty() => Told::Ends(sample.endings().len()),
        Event::Probed { .. } | Event::StandingChanged { .. } => Told::Suspicion,
        _ => return None,
    })
}

/// Returns an observer, and what it is told about closings.
fn listener() -> (impl FnMut(&Event<'_>) + Send + 'static, mpsc::UnboundedReceiver<Told>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let observer = move |event: &Event<'_>| {
        if let Some(told) = told(event) {
            let _ = sender.send(told);
        }
    };
    (observer, receiver)
}

/// Asserts that no order has a result within this time.
async fn assert_nothing_is_closed(told: &mut mpsc::UnboundedReceiver<Told>, time: Duration) {
    let result = async { while !matches!(told.recv().await.unwrap(), Told::Result(_)) {} };
    assert!(timeout(time, result).await.is_err(), "an order has a result");
}

fn role() -> ClosingPolicy {
    let settle = Settle(Duration::from_secs(10));
    ClosingPolicy { role: Some(Role::default()), settle, ..ClosingPolicy::default() }
}

fn rebalance() -> ClosingPolicy {
    let rebalance = Rebalance { rate_permille: 1_000, ..Rebalance::default() };
    ClosingPolicy { rebalance: Some(rebalance), settle: Settle(Duration::from_secs(10)), ..ClosingPolicy::default() }
}

fn closing_pool(counts: &Counts, policy: ClosingPolicy) -> (Pool, mpsc::Sender<Published>) {
    let (pool, discovery) = pool("a", "a", Policy::least_connections(counts.counter(), Pacing::default()));
    (pool.with_closing(policy), discovery)
}

impl Closed {
    /// Starts a pool with these connections, all of whose backends are ready, and a closer whose clients come back.
    async fn start(policy: ClosingPolicy, connections: &[u32]) -> Self {
        let backends = u8::try_from(connections.len()).unwrap();
        Self::start_with(policy, connections, backends, able()).await
    }

    async fn start_with(policy: ClosingPolicy, connections: &[u32], return_to: u8, ability: Ability) -> Self {
        let counts = Counts::default();
        counts.connect(connections);
        let closer = ScriptedCloser::new(&counts, return_to, ability);
        let (pool, discovery) = closing_pool(&counts, policy);
        let script = Arc::new(Script::default());
        let (sink, _) = script.sink();
        let (changes, receiver) = mpsc::channel(1);
        let (observer, told) = listener();
        let controller = Controller::new(Arc::new(sink), [pool])
            .with_changes(receiver)
            .with_closer(Arc::clone(&closer) as Arc<dyn Closer>)
            .with_observer(observer);
        tokio::spawn(controller.run(std::future::pending()));
        discovery.send(Ok(set(u8::try_from(connections.len()).unwrap()))).await.unwrap();
        Self { discovery, changes, script, counts, closer, told }
    }

    fn orders(&self) -> usize {
        self.closer.orders.load(Ordering::Relaxed)
    }

    /// Returns what is told until something meets the condition, which it is the last of.
    async fn until(&mut self, is_last: impl Fn(&Told) -> bool) -> Vec<Told> {
        let mut all = Vec::new();
        while !all.last().is_some_and(&is_last) {
            let told = timeout(Duration::from_secs(3_600), self.told.recv()).await;
            assert!(told.is_ok(), "not within an hour after {all:?}");
            all.extend(told.unwrap());
        }
        all
    }
}

fn has_ended(told: &Told) -> bool {
    matches!(told, Told::Ended { .. })
}

#[tokio::test(start_paused = true)]
async fn a_pool_is_levelled_by_orders_to_the_closer() {
    let mut closed = Closed::start(rebalance(), &[20, 20, 0, 0]).await;
    let all = closed.until(has_ended).await;
    assert!(all.contains(&Told::Began { planned: 20, is_dry_run: false }), "{all:?}");
    assert_eq!(all.last(), Some(&Told::Ended { closed: 20, end: RunEnd::Done }));
    assert_eq!(all.iter().filter(|told| **told == Told::Result("closed")).count(), 20);
    assert_eq!(closed.counts.by_backend().into_values().collect::<Vec<_>>(), [10; 4]);
    assert_eq!(closed.orders(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_falls_by_closings_is_no_suspect() {
    let rebalance = Rebalance { rate_permille: 20_000, max_rate: 1_000, ..Rebalance::default() };
    let policy = ClosingPolicy {
        rebalance: Some(rebalance),
        settle: Settle(Duration::from_secs(10)),
        budget: HourlyBudget(1_000),
        ..ClosingPolicy::default()
    };
    let mut closed = Closed::start(policy, &[60, 0, 0, 0, 0, 0]).await;
    let all = closed.until(has_ended).await;
    assert!(closed.counts.by_backend()[&address(0)] < 15, "{all:?}");
    assert!(!all.contains(&Told::Suspicion), "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn the_ends_that_the_closer_causes_are_no_evidence_and_those_of_the_backend_are() {
    let mut closed = Closed::start(rebalance(), &[20, 20, 0, 0]).await;
    let all = closed.until(has_ended).await;
    assert_eq!(closed.orders(), 20);
    assert!(!all.iter().any(|told| matches!(told, Told::Ends(_))), "{all:?}");
    assert!(closed.counts.end(closed.counts.last_cookie(), []));
    closed.until(|told| *told == Told::Ends(1)).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_closer_that_can_close_everything_is_decided_and_shown() {
    let unable = Ability::Unable("no right".to_owned());
    let mut closed = Closed::start_with(rebalance(), &[20, 20, 0, 0], 4, unable).await;
    let all = closed.until(|told| *told == Told::Result("dry-run")).await;
    assert!(all.contains(&Told::Able(false)), "{all:?}");
    assert!(all.contains(&Told::Began { planned: 20, is_dry_run: true }), "{all:?}");
    assert_eq!(closed.orders(), 0);
    assert_eq!(closed.counts.by_backend().into_values().collect::<Vec<_>>(), [20, 20]);
}

#[tokio::test(start_paused = true)]
async fn a_pool_without_rules_is_left_alone() {
    let mut closed = Closed::start(ClosingPolicy::default(), &[20, 20, 0, 0]).await;
    assert_nothing_is_closed(&mut closed.told, Duration::from_secs(600)).await;
    assert_eq!(closed.orders(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_more_is_closed_while_discovery_is_stale_and_all_is_after_that() {
    let mut closed = Closed::start(rebalance(), &[20, 20, 0, 0]).await;
    closed.until(|told| *told == Told::Result("closed")).await;
    closed.discovery.send(Err(stale())).await.unwrap();
    closed.until(|told| *told == Told::State(ClosingState::Waiting(Hold::StaleBackends))).await;
    closed.until(has_ended).await; // after the order that was under way
    let orders = closed.orders();
    assert!(orders < 20, "{orders}");
    assert_nothing_is_closed(&mut closed.told, Duration::from_secs(600)).await;
    assert_eq!(closed.orders(), orders);
    closed.discovery.send(Ok(set(4))).await.unwrap();
    closed.until(|told| matches!(told, Told::Ended { end: RunEnd::Done, .. })).await;
    assert_eq!(closed.orders(), 20);
}

#[tokio::test(start_paused = true)]
async fn nothing_more_is_closed_while_the_configuration_is_not_proved_in_force() {
    let mut closed = Closed::start(rebalance(), &[100, 100, 0, 0]).await;
    closed.until(|told| *told == Told::Result("closed")).await;
    closed.script.proofs.lock().unwrap().push_back(away());
    closed.script.applies.lock().unwrap().extend((0..1_000).map(|_| away()));
    closed.until(|told| *told == Told::State(ClosingState::Waiting(Hold::NotInForce))).await;
    closed.until(has_ended).await; // after the order that was under way
    let orders = closed.orders();
    assert!(orders < 90, "{orders}");
    assert_nothing_is_closed(&mut closed.told, Duration::from_secs(60)).await;
    assert_eq!(closed.orders(), orders);
    closed.script.applies.lock().unwrap().clear();
    closed.until(|told| matches!(told, Told::Ended { end: RunEnd::Done, .. })).await;
    assert!(closed.counts.by_backend().values().all(|count| *count <= 53), "{:?}", closed.counts.by_backend());
}

#[tokio::test(start_paused = true)]
async fn a_refusal_pauses_the_pool_and_drops_what_waits() {
    let mut closed = Closed::start(rebalance(), &[20, 20, 0, 0]).await;
    *closed.closer.outcome.lock().unwrap() = Some(Outcome::Refused(Refusal::ForeignPort));
    let all = closed.until(has_ended).await;
    let Some(Told::Ended { closed: 0, end: RunEnd::Paused(PauseReason::CloserFailed, _) }) = all.last() else {
        panic!("{all:?}")
    };
    let orders = closed.orders();
    assert_nothing_is_closed(&mut closed.told, Duration::from_secs(50)).await;
    assert_eq!(closed.orders(), orders, "none within the pause of a minute");
    *closed.closer.outcome.lock().unwrap() = None;
    closed.until(|told| *told == Told::Ended { closed: 20, end: RunEnd::Done }).await;
}

#[tokio::test(start_paused = true)]
async fn clients_that_stay_away_end_the_run() {
    let mut closed = Closed::start_with(rebalance(), &[100, 100, 0, 0], 0, able()).await;
    let all = closed.until(has_ended).await;
    let Some(Told::Ended { end: RunEnd::Paused(PauseReason::ClientsStayAway, _), .. }) = all.last() else {
        panic!("{all:?}")
    };
    assert!(closed.orders() <= 20, "{} were closed", closed.orders());
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_removed_or_has_other_settings_ends_its_run_and_keeps_its_pause() {
    let mut closed = Closed::start_with(rebalance(), &[100, 100, 0, 0], 0, able()).await;
    closed.until(has_ended).await;
    let orders = closed.orders();
    let (other, discovery) = closing_pool(&closed.counts, rebalance());
    closed.changes.send(PoolChanges { removed: Vec::new(), added: vec![other] }).await.unwrap();
    discovery.send(Ok(set(4))).await.unwrap();
    assert_nothing_is_closed(&mut closed.told, Duration::from_secs(500)).await;
    assert_eq!(closed.orders(), orders, "the pause of ten minutes counts on");
    closed.until(|told| matches!(told, Told::Began { .. })).await;
    closed.changes.send(PoolChanges { removed: vec!["a".parse().unwrap()], ..PoolChanges::default() }).await.unwrap();
    let all = closed.until(has_ended).await;
    assert!(matches!(all.last(), Some(Told::Ended { end: RunEnd::Replaced, .. })), "{all:?}");
    let orders = closed.orders();
    assert_nothing_is_closed(&mut closed.told, Duration::from_secs(500)).await;
    assert_eq!(closed.orders(), orders);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_left_the_selector_is_counted_and_left_at_once_and_one_that_was_removed_keeps_its_connections() {
    let counts = Counts::default();
    counts.connect(&[10, 10, 10]);
    let closer = ScriptedCloser::new(&counts, 1, able());
    let discovery = FakeDiscovery::default();
    let spec = crate::PoolSpec::new("a".parse().unwrap(), "a".parse().unwrap());
    let pool = Pool::new(spec, discovery.clone())
        .with_policy(Policy::least_connections(counts.counter(), Pacing::default()))
        .with_closing(role());
    let (sink, mut pushed) = Arc::new(Script::default()).sink();
    let (observer, mut told) = listener();
    let controller = Controller::new(Arc::new(sink), [pool])
        .with_closer(Arc::clone(&closer) as Arc<dyn Closer>)
        .with_observer(observer);
    tokio::spawn(controller.run(std::future::pending()));
    for backends in [3, 2] {
        discovery.publish((*set(backends)).clone());
        while pushed.recv().await.unwrap().backends() != usize::from(backends) {}
    }
    assert_nothing_is_closed(&mut told, Duration::from_secs(60)).await;
    assert_eq!(closer.orders.load(Ordering::Relaxed), 0, "removed, for whatever reason");
    discovery.publish_after((*set(1)).clone(), [address(1)]);
    let ten_results = async {
        let mut results = 0;
        while results < 10 {
            results += u32::from(told.recv().await.unwrap() == Told::Result("closed"));
        }
    };
    // 200 ms in which it may come back, and then one every 5 ms.
    timeout(Duration::from_millis(300), ten_results).await.expect("within moments");
    assert_eq!(closer.orders.load(Ordering::Relaxed), 10);
    assert_eq!(counts.by_backend(), [(address(0), 20), (address(2), 10)].into());
}

/// After a switchover the old primary joins the pool of the replicas, and gets their clients.
#[tokio::test(start_paused = true)]
async fn connections_of_another_pool_that_has_the_backend_now_are_not_closed() {
    let counts = Counts::default();
    counts.connect(&[10, 10]);
    let closer = ScriptedCloser::new(&counts, 1, able());
    let [primary, replicas] = [(); 2].map(|()| FakeDiscovery::default());
    let pool = |name: &str, discovery: &FakeDiscovery| {
        let spec = crate::PoolSpec::new(name.parse().unwrap(), name.parse().unwrap());
        let policy = Policy::least_connections(counts.counter(), Pacing::default());
        Pool::new(spec, discovery.clone()).with_policy(policy)
    };
    let pools = [pool("primary", &primary).with_closing(role()), pool("replicas", &replicas)];
    let (sink, _pushed) = Arc::new(Script::default()).sink();
    let (observer, mut told) = listener();
    let controller = Controller::new(Arc::new(sink), pools)
        .with_closer(Arc::clone(&closer) as Arc<dyn Closer>)
        .with_observer(observer);
    tokio::spawn(controller.run(std::future::pending()));
    primary.publish((*set(2)).clone());
    replicas.publish((*set(0)).clone());
    assert_nothing_is_closed(&mut told, Duration::from_secs(60)).await;
    primary.publish_after((*set(1)).clone(), [address(1)]);
    replicas.publish(std::iter::once(Backend::new(address(1), State::Ready)).collect());
    for _ in 0..10 {
        while told.recv().await.unwrap() != Told::Result("closed") {}
    }
    assert_nothing_is_closed(&mut told, Duration::from_secs(2)).await;
    assert_eq!(closer.orders.load(Ordering::Relaxed), 10);
    counts.open(address(1), 5);
    assert_nothing_is_closed(&mut told, Duration::from_secs(60)).await;
    assert_eq!(closer.orders.load(Ordering::Relaxed), 10);
    assert_eq!(counts.by_backend()[&address(1)], 5);
}

#[tokio::test(start_paused = true)]
async fn the_last_connection_is_closed_some_seconds_before_a_draining_backend_is_killed() {
    let drain = Drain { after: Duration::from_secs(3_600), ..Drain::default() };
    let policy =
        ClosingPolicy { drain: Some(drain), settle: Settle(Duration::from_secs(10)), ..ClosingPolicy::default() };
    let mut closed = Closed::start_with(policy, &[10, 10], 1, able()).await;
    assert_nothing_is_closed(&mut closed.told, Duration::from_secs(60)).await;
    let killed_at = Instant::now() + Duration::from_secs(30);
    let draining = Backend::new(address(1), ilb_discovery::State::Draining).with_killed_at(Some(killed_at.into_std()));
    let backends = [Backend::new(address(0), ilb_discovery::State::Ready), draining];
    closed.discovery.send(Ok(Arc::new(backends.into_iter().collect()))).await.unwrap();
    let all = closed.until(has_ended).await;
    assert_eq!(all.iter().filter(|told| **told == Told::Result("closed")).count(), 10, "{all:?}");
    let left = killed_at.saturating_duration_since(Instant::now());
    assert!(left >= Duration::from_secs(5) && left <= Duration::from_secs(15), "{left:?} before the kill");
}

#[tokio::test(start_paused = true)]
async fn a_closer_that_hangs_keeps_the_loop_from_nothing() {
    struct Hanging;
    #[async_trait]
    impl Closer for Hanging {
        async fn close(&self, _: &Order) -> Outcome {
            std::future::pending().await
        }

        async fn ability(&self) -> Ability {
            able()
        }
    }
    let counts = Counts::default();
    counts.connect(&[20, 20, 0, 0]);
    let (pool, discovery) = closing_pool(&counts, rebalance());
    let script = Arc::new(Script::default());
    let (sink, mut pushed) = script.sink();
    let (observer, mut events) = listener();
    let controller = Controller::new(Arc::new(sink), [pool]).with_closer(Arc::new(Hanging)).with_observer(observer);
    tokio::spawn(controller.run(std::future::pending()));
    discovery.send(Ok(set(4))).await.unwrap();
    let paused = async {
        loop {
            if let Told::State(ClosingState::Paused(reason, _)) = events.recv().await.unwrap() {
                return reason;
            }
        }
    };
    assert_eq!(timeout(Duration::from_secs(60), paused).await, Ok(PauseReason::CloserFailed), "no answer is a failure");
    while pushed.try_recv().is_ok() {}
    discovery.send(Ok(set(5))).await.unwrap();
    let push = timeout(Duration::from_secs(1), pushed.recv()).await.expect("a push as usual").unwrap();
    assert_eq!(push.backends(), 5);
}

#[test]
fn each_result_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<_> = ClosingResult::NAMES.into_iter().collect();
    assert_eq!(names.len(), ClosingResult::NAMES.len());
}
