//! The loop with both of its sides in the hands of the test, by round robin and by least connections.

use std::time::Duration;

use ilb_discovery::BackendSet;
use ilb_reconciler::{Pacing, Reason};
use ilb_traefik_client::{Error, Revision};
use tokio::{task::JoinHandle, time::timeout};

use super::*;
use crate::{
    Policy,
    testing::{Counts, Published, Push, Script, applied, away, cause, pool, set},
};

mod least_connections;

/// A controller of round robin pools that runs.
struct Running {
    discovery: Vec<mpsc::Sender<Published>>,
    changes: mpsc::Sender<PoolChanges>,
    script: Arc<Script>,
    pushed: mpsc::UnboundedReceiver<Push>,
    events: mpsc::UnboundedReceiver<String>,
    task: JoinHandle<()>,
}

impl Running {
    /// One pool, and a Traefik that answers the first pushes like this.
    fn start(applies: impl IntoIterator<Item = Error>) -> Self {
        Self::of(&[("default", "tcp")], applies)
    }

    /// Two pools, `a` and `b`.
    fn two() -> Self {
        Self::of(&[("a", "one"), ("b", "two")], [])
    }

    fn of(pools: &[(&str, &str)], applies: impl IntoIterator<Item = Error>) -> Self {
        let script = Script::failing(applies);
        let (pools, discovery) =
            pools.iter().map(|(name, at)| pool(name, at, Policy::round_robin())).unzip::<_, _, Vec<_>, _>();
        let (sink, pushed) = script.sink();
        let (changes, receiver) = mpsc::channel(1);
        let (report, events) = mpsc::unbounded_channel();
        let controller =
            Controller::new(Arc::new(sink), pools).with_changes(receiver).with_observer(move |event: &Event<'_>| {
                let _ = report.send(kind(event).to_owned());
            });
        let task = tokio::spawn(controller.run(std::future::pending()));
        Self { discovery, changes, script, pushed, events, task }
    }

    /// Discovery of the only pool finds this many ready backends.
    async fn found(&self, ready: u8) {
        self.found_by(0, ready).await;
    }

    async fn found_by(&self, pool: usize, ready: u8) {
        self.discovery[pool].send(Ok(set(ready))).await.unwrap();
    }

    async fn next_push(&mut self) -> Push {
        timeout(Duration::from_secs(60), self.pushed.recv()).await.expect("something is pushed").unwrap()
    }

    /// Nothing is pushed, however long one waits.
    async fn assert_quiet(&mut self) {
        timeout(Duration::from_secs(60), self.pushed.recv()).await.expect_err("nothing is pushed");
        assert!(!self.task.is_finished());
    }

    /// The events until now, but for the heartbeat and proofs that hold.
    fn events(&mut self) -> Vec<String> {
        let mut events = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            events.push(event);
        }
        events.retain(|event| event != "Alive" && event != "ProofHeld");
        events
    }
}

/// The name of an event.
fn kind(event: &Event<'_>) -> &'static str {
    match event {
        Event::Alive => "Alive",
        Event::PoolAdded { .. } => "PoolAdded",
        Event::PoolRemoved { .. } => "PoolRemoved",
        Event::Discovered { .. } => "Discovered",
        Event::DiscoveryStale { .. } => "DiscoveryStale",
        Event::Sampled { .. } => "Sampled",
        Event::CountingFailed { .. } => "CountingFailed",
        Event::CountingImpossible { .. } => "CountingImpossible",
        Event::Probed { .. } => "Probed",
        Event::Decided { .. } => "Decided",
        Event::PushStarted { .. } => "PushStarted",
        Event::Pushed { .. } => "Pushed",
        Event::PushFailed { .. } => "PushFailed",
        Event::ProofHeld => "ProofHeld",
        Event::ProofLost { .. } => "ProofLost",
    }
}

fn stale() -> ilb_discovery::Error {
    ilb_discovery::Error::Failed { source_name: "the test".into(), cause: cause() }
}

fn members(of: &[(&str, usize)]) -> Vec<(String, usize)> {
    of.iter().map(|(name, backends)| ((*name).to_owned(), *backends)).collect()
}

#[tokio::test(start_paused = true)]
async fn nothing_is_pushed_before_the_backends_are_known() {
    let mut running = Running::start([]);
    running.discovery[0].send(Err(stale())).await.unwrap();
    running.assert_quiet().await;

    running.found(2).await;
    assert_eq!(running.next_push().await.backends(), 2);
    running.discovery[0].send(Err(stale())).await.unwrap();
    running.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn only_ready_backends_are_pushed_and_only_when_they_change() {
    let mut running = Running::start([]);
    running.found(2).await;
    assert_eq!(running.next_push().await.backends(), 2);
    running.found(2).await;
    let without_the_others: BackendSet = set(2).ready();
    running.discovery[0].send(Ok(Arc::new(without_the_others))).await.unwrap();
    running.assert_quiet().await;
    running.found(0).await;
    assert_eq!(running.next_push().await.backends(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_failed_push_is_repeated_with_the_latest_set() {
    let mut running = Running::start([away(), away()]);
    running.found(1).await;
    assert_eq!(running.next_push().await.backends(), 1);
    running.found(3).await;
    assert_eq!(running.next_push().await.backends(), 3);
    assert_eq!(running.next_push().await.backends(), 3);
    running.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_traefik_that_comes_back_after_an_hour_is_configured_within_half_a_second() {
    let mut running = Running::start(std::iter::repeat_n(away(), 8000));
    let started = Instant::now();
    running.found(1).await;
    let mut last = running.next_push().await;
    while last.at - started < Duration::from_secs(3600) {
        let push = running.next_push().await;
        assert!(push.at - last.at <= Duration::from_millis(500) + Duration::from_millis(1));
        last = push;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_configuration_is_pushed_again_within_a_proof_interval() {
    for lost in [Error::Restarted, away(), Error::Overwritten(Revision::from(&Configuration::default()))] {
        let mut running = Running::start([]);
        running.found(2).await;
        running.next_push().await;
        running.assert_quiet().await;
        let before = Instant::now();
        running.script.proofs.lock().unwrap().push_back(lost);
        let push = running.next_push().await;
        assert_eq!(push.backends(), 2);
        assert!(push.at - before <= Pushes::<DesiredPools, Applied>::PROOF_INTERVAL + Duration::from_millis(1));
        running.assert_quiet().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_change_during_a_push_is_pushed_after_it_and_the_latest_wins() {
    let (begun, mut begins) = mpsc::unbounded_channel();
    let (pool, discovery) = pool("default", "tcp", Policy::round_robin());
    let controller = Controller::new(Arc::new(Slow { begun }), [pool]);
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
    let (pool, discovery) = pool("default", "tcp", Policy::round_robin());
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let controller = Controller::new(Arc::new(Slow { begun }), [pool]);
    let task = tokio::spawn(controller.run(async { stopped.await.unwrap() }));
    discovery.send(Ok(set(1))).await.unwrap();
    begins.recv().await.unwrap();
    let asked = Instant::now();
    stop.send(()).unwrap();
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
        Ok(applied(configuration))
    }

    async fn verify(&self, _: &Applied) -> Result<(), Error> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn all_pools_are_one_configuration_and_the_first_push_waits_for_each() {
    let mut two = Running::two();
    two.found_by(0, 2).await;
    time::sleep(Duration::from_secs(1)).await;
    assert!(two.pushed.try_recv().is_err(), "it would take the other pool out of service");
    two.found_by(1, 3).await;
    assert_eq!(two.next_push().await.members(), members(&[("a", 2), ("b", 3)]));
    two.found_by(0, 1).await;
    assert_eq!(two.next_push().await.members(), members(&[("a", 1), ("b", 3)]));
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_cannot_be_followed_does_not_hold_up_the_others_for_ever() {
    let started = Instant::now();
    let mut two = Running::two();
    two.found_by(0, 2).await;
    let first = two.next_push().await;
    assert_eq!(first.members(), members(&[("a", 2)]));
    assert_eq!(first.at - started, Controller::MAX_FIRST_PUSH_DELAY);
    two.found_by(1, 1).await;
    assert_eq!(two.next_push().await.members(), members(&[("a", 2), ("b", 1)]));
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_takes_the_place_of_another_serves_its_backends_until_it_knows_its_own() {
    let mut two = Running::two();
    two.found_by(0, 2).await;
    two.found_by(1, 3).await;
    two.next_push().await;
    let (other, discovery) = pool("b", "elsewhere", Policy::round_robin());
    two.changes.send(PoolChanges { removed: Vec::new(), added: vec![other] }).await.unwrap();
    assert_eq!(two.next_push().await.members(), members(&[("a", 2), ("b", 3)]), "on its entry point");
    discovery.send(Ok(set(1))).await.unwrap();
    assert_eq!(two.next_push().await.members(), members(&[("a", 2), ("b", 1)]));
    two.changes.send(PoolChanges { removed: vec!["a".parse().unwrap()], added: Vec::new() }).await.unwrap();
    assert_eq!(two.next_push().await.members(), members(&[("b", 1)]));
}

#[tokio::test(start_paused = true)]
async fn a_pool_by_round_robin_that_replaces_one_with_the_same_plan_pushes_nothing() {
    let mut running = Running::start([]);
    running.found(2).await;
    running.next_push().await;
    let (other, discovery) = pool("default", "tcp", Policy::round_robin());
    running.changes.send(PoolChanges { removed: Vec::new(), added: vec![other] }).await.unwrap();
    discovery.send(Ok(set(2))).await.unwrap();
    running.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn each_occurrence_is_one_event() {
    let mut running = Running::start([away()]);
    running.found(1).await;
    running.next_push().await;
    running.next_push().await;
    running.discovery[0].send(Err(stale())).await.unwrap();
    running.assert_quiet().await;
    running.script.proofs.lock().unwrap().push_back(Error::Restarted);
    running.next_push().await;
    running
        .changes
        .send(PoolChanges { removed: vec!["default".parse().unwrap()], ..PoolChanges::default() })
        .await
        .unwrap();
    time::sleep(Duration::from_secs(1)).await;
    let events = running.events();
    assert_eq!(
        events,
        [
            "PoolAdded",
            "Discovered",
            "Decided",
            "PushStarted",
            "PushFailed",
            "PushStarted",
            "Pushed",
            "DiscoveryStale",
            "ProofLost",
            "PushStarted",
            "Pushed",
            "PoolRemoved"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_loop_shows_that_it_is_alive_also_when_nothing_happens() {
    let mut running = Running::start([]);
    time::sleep(Duration::from_millis(10_500)).await;
    let mut alive = 0;
    while let Ok(event) = running.events.try_recv() {
        alive += usize::from(event == "Alive");
    }
    assert!(alive >= 10, "{alive} times in ten heartbeats");
}
