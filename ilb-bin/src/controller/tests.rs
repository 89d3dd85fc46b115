use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ilb_discovery::{Backend, Cause, State};
use ilb_traefik_client::{Error, MockConfigSink, Revision, Timeouts};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_stream::wrappers::ReceiverStream;

use super::*;
use crate::balancing::Balancing;

type News = Result<Arc<BackendSet>, ilb_discovery::Error>;

/// A controller that runs, with both of its sides in the hands of the test.
struct Running {
    discovery: mpsc::Sender<News>,
    script: Arc<Script>,
    pushed: mpsc::UnboundedReceiver<Push>,
    task: JoinHandle<()>,
    started: Instant,
}

/// One call of `apply`.
#[derive(Debug)]
struct Push {
    at: Duration,
    backends: usize,
}

/// How Traefik answers the next calls; when nothing is left, everything succeeds.
#[derive(Default)]
struct Script {
    applies: Mutex<VecDeque<Error>>,
    proofs: Mutex<VecDeque<Error>>,
}

impl Running {
    fn start(applies: impl IntoIterator<Item = Error>) -> Self {
        let script = Arc::new(Script { applies: Mutex::new(applies.into_iter().collect()), ..Script::default() });
        let (discovery, sets) = mpsc::channel(8);
        let (report, pushed) = mpsc::unbounded_channel();
        let started = Instant::now();
        let mut sink = MockConfigSink::new();
        let answers = Arc::clone(&script);
        sink.expect_apply().returning(move |configuration| {
            let backends = configuration.tcp.services.len() - 1;
            report.send(Push { at: started.elapsed(), backends }).unwrap();
            match next(&answers.applies) {
                Some(error) => Err(error),
                None => Ok(Applied::new(Revision::of(configuration), "then".into(), "3.7.15".into(), Duration::ZERO)),
            }
        });
        let answers = Arc::clone(&script);
        sink.expect_verify().returning(move |_| next(&answers.proofs).map_or(Ok(()), Err));
        let controller = controller(Arc::new(sink), sets);
        let task = tokio::spawn(controller.run(std::future::pending()));
        Self { discovery, script, pushed, task, started }
    }

    /// Discovery finds this many ready backends.
    async fn found(&self, ready: u8) {
        self.discovery.send(Ok(set(ready))).await.unwrap();
    }

    async fn next_push(&mut self) -> Push {
        timeout(Duration::from_secs(60), self.pushed.recv()).await.expect("something is pushed").unwrap()
    }

    /// Nothing is pushed, however long one waits.
    async fn assert_quiet(&mut self) {
        timeout(Duration::from_secs(60), self.pushed.recv()).await.expect_err("nothing is pushed");
        assert!(!self.task.is_finished());
    }
}

fn controller(sink: Arc<dyn ConfigSink>, sets: mpsc::Receiver<News>) -> Controller {
    let insight = Insight::new();
    let pool = pool("default", "tcp", sets, &insight);
    Controller::new([pool], mpsc::channel(1).1, certificate(), sink, insight)
}

fn certificate() -> Certificate {
    Certificate::from_pem("certificate".into(), "key".into())
}

fn pool(name: &str, entry_point: &str, sets: mpsc::Receiver<News>, insight: &Insight) -> Pool {
    let (name, entry_point): (Name, Name) = (name.parse().unwrap(), entry_point.parse().unwrap());
    let insight = insight.pool(&name, &entry_point, "roundrobin", None);
    let frame = Frame { name, entry_point, timeouts: Timeouts::default(), proxy_protocol: None, equal_shares: false };
    Pool::new(frame, Box::pin(ReceiverStream::new(sets)), Balancing::round_robin(), insight)
}

fn next(errors: &Mutex<VecDeque<Error>>) -> Option<Error> {
    errors.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
}

fn set(ready: u8) -> Arc<BackendSet> {
    let backend = |last, state| Backend::new(([10, 0, 0, last], 3333).into(), state);
    let others = [backend(200, State::NotReady), backend(201, State::Draining)];
    Arc::new((0..ready).map(|last| backend(last, State::Ready)).chain(others).collect())
}

fn away() -> Error {
    Error::Unreachable("connection refused".into())
}

#[tokio::test(start_paused = true)]
async fn nothing_is_pushed_before_the_backends_are_known() {
    let mut running = Running::start([]);
    let cause = Cause::new(std::io::Error::other("scripted"));
    let stale = ilb_discovery::Error::Failed { source_name: "the test".into(), cause };
    running.discovery.send(Err(stale.clone())).await.unwrap();
    running.assert_quiet().await;

    running.found(2).await;
    assert_eq!(running.next_push().await.backends, 2);
    running.discovery.send(Err(stale)).await.unwrap();
    running.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn only_ready_backends_are_pushed_and_only_when_they_change() {
    let mut running = Running::start([]);
    running.found(2).await;
    assert_eq!(running.next_push().await.backends, 2);
    running.found(2).await;
    let without_the_others: BackendSet = set(2).ready();
    running.discovery.send(Ok(Arc::new(without_the_others))).await.unwrap();
    running.assert_quiet().await;
    running.found(0).await;
    assert_eq!(running.next_push().await.backends, 0);
}

#[tokio::test(start_paused = true)]
async fn a_failed_push_is_repeated_with_the_latest_set() {
    let mut running = Running::start([away(), away()]);
    running.found(1).await;
    assert_eq!(running.next_push().await.backends, 1);
    running.found(3).await;
    assert_eq!(running.next_push().await.backends, 3);
    assert_eq!(running.next_push().await.backends, 3);
    running.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_traefik_that_comes_back_after_an_hour_is_configured_within_half_a_second() {
    let mut running = Running::start(std::iter::repeat_n(away(), 8000));
    running.found(1).await;
    let mut last = running.next_push().await;
    while last.at < Duration::from_secs(3600) {
        let push = running.next_push().await;
        assert!(push.at.saturating_sub(last.at) <= Duration::from_millis(500) + Duration::from_millis(1));
        last = push;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_configuration_is_pushed_again_within_a_proof_interval() {
    for lost in [Error::Restarted, away(), Error::Overwritten(Revision::of(&Configuration::default()))] {
        let mut running = Running::start([]);
        running.found(2).await;
        running.next_push().await;
        running.assert_quiet().await;
        let before = running.started.elapsed();
        running.script.proofs.lock().unwrap().push_back(lost);
        let push = running.next_push().await;
        assert_eq!(push.backends, 2);
        assert!(push.at.saturating_sub(before) <= Pushes::<Wishes>::PROOF_INTERVAL + Duration::from_millis(1));
        running.assert_quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_during_a_push_is_pushed_after_it_and_the_latest_wins() {
    let (begun, mut begins) = mpsc::unbounded_channel();
    let (discovery, sets) = mpsc::channel(8);
    let controller = controller(Arc::new(Slow { begun }), sets);
    let _task = tokio::spawn(controller.run(std::future::pending()));
    for ready in 1..=4 {
        discovery.send(Ok(set(ready))).await.unwrap();
        if ready == 1 {
            assert_eq!(begins.recv().await, Some(1));
        }
    }
    assert_eq!(begins.recv().await, Some(4));
    timeout(Duration::from_secs(60), begins.recv()).await.expect_err("nothing is left to push");
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_a_push() {
    let (begun, mut begins) = mpsc::unbounded_channel();
    let (discovery, sets) = mpsc::channel(8);
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let controller = controller(Arc::new(Slow { begun }), sets);
    let task = tokio::spawn(controller.run(async { stopped.await.unwrap() }));
    discovery.send(Ok(set(1))).await.unwrap();
    begins.recv().await.unwrap();
    let asked = Instant::now();
    stop.send("SIGTERM").unwrap();
    task.await.unwrap();
    assert_eq!(asked.elapsed(), Duration::ZERO);
}

/// A Traefik that takes ten seconds for each push. (A mock cannot: its answers are there at once.)
struct Slow {
    begun: mpsc::UnboundedSender<usize>,
}

#[async_trait::async_trait]
impl ConfigSink for Slow {
    async fn apply(&self, configuration: &Configuration) -> Result<Applied, Error> {
        self.begun.send(configuration.tcp.services.len() - 1).unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        Ok(Applied::new(Revision::of(configuration), "then".into(), "3.7.15".into(), Duration::from_secs(10)))
    }

    async fn verify(&self, _: &Applied) -> Result<(), Error> {
        Ok(())
    }
}

/// Two pools that run, and what is pushed: the number of servers of each service's pool, by router.
struct Two {
    discovery: [mpsc::Sender<News>; 2],
    changes: mpsc::Sender<PoolChanges>,
    insight: Insight,
    pushed: mpsc::UnboundedReceiver<BTreeMap<String, usize>>,
}

impl Two {
    fn start() -> Self {
        let insight = Insight::new();
        let (a, sets_of_a) = mpsc::channel(8);
        let (b, sets_of_b) = mpsc::channel(8);
        let (changes, receiver) = mpsc::channel(1);
        let (report, pushed) = mpsc::unbounded_channel();
        let mut sink = MockConfigSink::new();
        sink.expect_apply().returning(move |configuration| {
            report.send(members(configuration)).unwrap();
            Ok(Applied::new(Revision::of(configuration), "then".into(), "3.7.15".into(), Duration::ZERO))
        });
        sink.expect_verify().returning(|_| Ok(()));
        let pools = [pool("a", "one", sets_of_a, &insight), pool("b", "two", sets_of_b, &insight)];
        let controller = Controller::new(pools, receiver, certificate(), Arc::new(sink), insight.clone());
        tokio::spawn(controller.run(std::future::pending()));
        Self { discovery: [a, b], changes, insight, pushed }
    }

    async fn found(&self, pool: usize, ready: u8) {
        self.discovery[pool].send(Ok(set(ready))).await.unwrap();
    }

    /// What the next push holds, and how long it took to come.
    async fn next_push(&mut self) -> (Vec<(String, usize)>, Duration) {
        let since = Instant::now();
        let push = timeout(Duration::from_secs(60), self.pushed.recv()).await.expect("something is pushed").unwrap();
        (push.into_iter().collect(), since.elapsed())
    }
}

/// How many backends each pool of a configuration has.
fn members(configuration: &Configuration) -> BTreeMap<String, usize> {
    let services = &configuration.tcp.services;
    let of = |name: &Name| match services.get(name.as_str()) {
        Some(ilb_traefik_client::TcpService::Weighted(weighted)) => weighted.services.len(),
        _ => 0,
    };
    configuration.tcp.routers.keys().map(|name| (name.to_string(), of(name))).collect()
}

fn push(of: &[(&str, usize)]) -> Vec<(String, usize)> {
    of.iter().map(|(name, backends)| ((*name).to_owned(), *backends)).collect()
}

#[tokio::test(start_paused = true)]
async fn all_pools_are_one_configuration_and_the_first_push_waits_for_each() {
    let mut two = Two::start();
    two.found(0, 2).await;
    time::sleep(Duration::from_secs(1)).await;
    assert!(two.pushed.try_recv().is_err(), "it would take the other pool out of service");
    two.found(1, 3).await;
    assert_eq!(two.next_push().await.0, push(&[("a", 2), ("b", 3)]));
    two.found(0, 1).await;
    assert_eq!(two.next_push().await.0, push(&[("a", 1), ("b", 3)]));
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_cannot_be_followed_does_not_hold_up_the_others_for_ever() {
    let mut two = Two::start();
    two.found(0, 2).await;
    let (first, waited) = two.next_push().await;
    assert_eq!(first, push(&[("a", 2)]));
    assert_eq!(waited, Controller::FIRST_PUSH_WAITS);
    two.found(1, 1).await;
    assert_eq!(two.next_push().await.0, push(&[("a", 2), ("b", 1)]));
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_takes_the_place_of_another_serves_its_backends_until_it_knows_its_own() {
    let mut two = Two::start();
    two.found(0, 2).await;
    two.found(1, 3).await;
    two.next_push().await;
    let (discovery, sets) = mpsc::channel(8);
    let other = pool("b", "elsewhere", sets, &two.insight);
    two.changes.send(PoolChanges { gone: Vec::new(), new: vec![other] }).await.unwrap();
    assert_eq!(two.next_push().await.0, push(&[("a", 2), ("b", 3)]), "on its entry point");
    discovery.send(Ok(set(1))).await.unwrap();
    assert_eq!(two.next_push().await.0, push(&[("a", 2), ("b", 1)]));
    two.changes.send(PoolChanges { gone: vec!["a".parse().unwrap()], new: Vec::new() }).await.unwrap();
    assert_eq!(two.next_push().await.0, push(&[("b", 1)]));
}
