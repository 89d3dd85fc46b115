use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ilb_discovery::{Backend, Cause, State};
use ilb_traefik_client::{Error, MockConfigSink, Revision};
use tokio::{sync::mpsc, task::JoinHandle, time::timeout};
use tokio_stream::wrappers::ReceiverStream;

use super::*;

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
        let controller = controller(Arc::new(sink));
        let task = tokio::spawn(controller.run(ReceiverStream::new(sets), std::future::pending()));
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

fn controller<S: ConfigSink>(sink: Arc<S>) -> Controller<S> {
    let pool =
        Pool { name: "default".parse().unwrap(), entry_point: "tcp".parse().unwrap(), timeouts: Timeouts::default() };
    let insight = Insight::new().pool(&pool.name, &pool.entry_point, "roundrobin", None);
    let certificate = Certificate::from_pem("certificate".into(), "key".into());
    Controller::new(pool, certificate, sink, Balancing::round_robin(), insight)
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
        assert!(push.at.saturating_sub(before) <= Pushes::<Wish>::PROOF_INTERVAL + Duration::from_millis(1));
        running.assert_quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_during_a_push_is_pushed_after_it_and_the_latest_wins() {
    let (begun, mut begins) = mpsc::unbounded_channel();
    let (discovery, sets) = mpsc::channel(8);
    let controller = controller(Arc::new(Slow { begun }));
    let _task = tokio::spawn(controller.run(ReceiverStream::new(sets), std::future::pending()));
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
    let controller = controller(Arc::new(Slow { begun }));
    let task = tokio::spawn(controller.run(ReceiverStream::new(sets), async { stopped.await.unwrap() }));
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
