//! The pushes of one pool: when there is one, and when it is repeated.

use ilb_discovery::BackendSet;
use ilb_traefik_client::Revision;

use super::*;

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
async fn a_traefik_that_is_back_after_an_hour_is_configured_within_half_a_second() {
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
    let (sender, mut started) = mpsc::unbounded_channel();
    let (pool, discovery) = pool("default", "tcp", Policy::round_robin());
    let controller = Controller::new(Arc::new(Slow { started: sender }), [pool]);
    let _task = tokio::spawn(controller.run(std::future::pending()));
    for ready in 1..=4 {
        discovery.send(Ok(set(ready))).await.unwrap();
        if ready == 1 {
            assert_eq!(started.recv().await, Some(1));
        }
    }
    assert_eq!(started.recv().await, Some(4));
    timeout(Duration::from_secs(60), started.recv()).await.expect_err("nothing is left to push");
}

#[tokio::test(start_paused = true)]
async fn sets_during_a_push_are_reported_at_once_and_only_the_last_one_is_decided_about() {
    let mut running = SlowlyPushed::start(&[1, 2, 3, 4]).await;
    assert_eq!((running.starts.recv().await, running.starts.recv().await), (Some(1), Some(4)));
    let mut events = Vec::new();
    while let Ok(event) = running.events.try_recv() {
        events.push(event);
    }
    let first_push = events.iter().position(|event| *event == "PushStarted").unwrap();
    let sets = ["Discovered", "Discovered", "Discovered"];
    assert_eq!(events[first_push + 1..], [&sets[..], &["Pushed", "Decided", "PushStarted"]].concat());
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_undone_during_a_push_is_not_pushed() {
    let mut running = SlowlyPushed::start(&[1, 2, 1]).await;
    assert_eq!(running.starts.recv().await, Some(1));
    timeout(Duration::from_secs(60), running.starts.recv()).await.expect_err("it is in force already");
}

/// A controller in front of a [`Slow`] Traefik, whose first push is under way.
struct SlowlyPushed {
    /// Names of the events but for heartbeats.
    events: mpsc::UnboundedReceiver<&'static str>,
    /// Number of backends of each push.
    starts: mpsc::UnboundedReceiver<usize>,
    _discovery: mpsc::Sender<Published>,
    _task: JoinHandle<()>,
}

impl SlowlyPushed {
    /// Starts one pool and publishes sets with these numbers of ready backends: the first one is pushed, and the others
    /// are reported before that push ends.
    async fn start(ready: &[u8]) -> Self {
        let ((sender, starts), (reporter, events)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        let (discovered, mut reports) = mpsc::unbounded_channel();
        let (pool, discovery) = pool("default", "tcp", Policy::round_robin());
        let controller =
            Controller::new(Arc::new(Slow { started: sender }), [pool]).with_observer(move |event: &Event<'_>| {
                let name = name_of(event);
                if name == "Discovered" {
                    discovered.send(()).unwrap();
                }
                if name != "Alive" {
                    reporter.send(name).unwrap();
                }
            });
        let task = tokio::spawn(controller.run(std::future::pending()));
        let started = Instant::now();
        for ready in ready {
            discovery.send(Ok(set(*ready))).await.unwrap();
            reports.recv().await.unwrap();
        }
        assert_eq!(started.elapsed(), Duration::ZERO, "the sets are reported during the first push");
        Self { events, starts, _discovery: discovery, _task: task }
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_a_push() {
    let (sender, mut started) = mpsc::unbounded_channel();
    let (pool, discovery) = pool("default", "tcp", Policy::round_robin());
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let controller = Controller::new(Arc::new(Slow { started: sender }), [pool]);
    let task = tokio::spawn(controller.run(async { stopped.await.unwrap() }));
    discovery.send(Ok(set(1))).await.unwrap();
    started.recv().await.unwrap();
    let stopped_at = Instant::now();
    stop.send(()).unwrap();
    task.await.unwrap();
    assert_eq!(stopped_at.elapsed(), Duration::ZERO);
}

/// A Traefik that takes ten seconds for each push. (A mock cannot wait.)
struct Slow {
    /// Receives the number of backends of each push.
    started: mpsc::UnboundedSender<usize>,
}

#[async_trait::async_trait]
impl ConfigSink for Slow {
    async fn apply(&self, configuration: &Configuration) -> Result<Applied, Error> {
        self.started.send(configuration.tcp.services.len() - 1).unwrap();
        tokio::time::sleep(Duration::from_secs(10)).await;
        Ok(applied(configuration))
    }

    async fn verify(&self, _: &Applied) -> Result<(), Error> {
        Ok(())
    }
}
