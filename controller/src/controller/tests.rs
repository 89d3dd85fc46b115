//! The loop between a discovery and a sink that the test scripts.

use std::time::Duration;

use ilb_traefik_client::Error;
use tokio::{task::JoinHandle, time::timeout};

use super::*;
use crate::{
    policy::Policy,
    testing::{Published, Push, Script, applied, away, cause, name_of, pool, set},
};

mod closings;
mod events;
mod faults;
mod first_push;
mod halves;
mod least_connections;
mod pools;
mod pushes;
mod rivals;
mod siblings;

/// A running controller of pools balanced by round robin.
struct Running {
    discovery: Vec<mpsc::Sender<Published>>,
    changes: mpsc::Sender<PoolChanges>,
    script: Arc<Script>,
    pushed: mpsc::UnboundedReceiver<Push>,
    /// Names of the events.
    events: mpsc::UnboundedReceiver<&'static str>,
    task: JoinHandle<()>,
}

impl Running {
    /// Starts one pool, and a Traefik in which the first pushes fail with these errors.
    fn start(applies: impl IntoIterator<Item = Error>) -> Self {
        Self::with_pools(&[("default", "tcp")], applies)
    }

    /// Starts two pools, `a` and `b`.
    fn two() -> Self {
        Self::with_pools(&[("a", "one"), ("b", "two")], [])
    }

    fn with_pools(pools: &[(&str, &str)], applies: impl IntoIterator<Item = Error>) -> Self {
        let script = Script::failing(applies);
        let (pools, discovery) = pools
            .iter()
            .map(|(name, entry_point)| pool(name, entry_point, Policy::round_robin()))
            .unzip::<_, _, Vec<_>, _>();
        let (sink, pushed) = script.sink();
        let (changes, receiver) = mpsc::channel(1);
        let (sender, events) = mpsc::unbounded_channel();
        let controller =
            Controller::new(Arc::new(sink), pools).with_changes(receiver).with_observer(move |event: &Event<'_>| {
                let _ = sender.send(name_of(event));
            });
        let task = tokio::spawn(controller.run(std::future::pending()));
        Self { discovery, changes, script, pushed, events, task }
    }

    /// Makes the discovery of the first pool publish this many ready backends.
    async fn found(&self, ready: u8) {
        self.found_by(0, ready).await;
    }

    async fn found_by(&self, pool: usize, ready: u8) {
        self.discovery[pool].send(Ok(set(ready))).await.unwrap();
    }

    async fn next_push(&mut self) -> Push {
        timeout(Duration::from_secs(60), self.pushed.recv()).await.expect("there is a push").unwrap()
    }

    /// Counts the pushes within this time.
    async fn pushes_within(&mut self, time: Duration) -> usize {
        let (end, mut pushes) = (Instant::now() + time, 0);
        while let Ok(push) = time::timeout_at(end, self.pushed.recv()).await {
            push.unwrap();
            pushes += 1;
        }
        pushes
    }

    /// Checks that there is no push within a minute.
    async fn assert_quiet(&mut self) {
        timeout(Duration::from_secs(60), self.pushed.recv()).await.expect_err("there should be no push");
        assert!(!self.task.is_finished());
    }

    /// Returns the events up to the next one of this name, without heartbeats and proofs that hold.
    async fn events_until(&mut self, last: &str) -> Vec<&'static str> {
        let mut events = Vec::new();
        while events.last() != Some(&last) {
            let event = timeout(Duration::from_secs(60), self.events.recv()).await.expect(last).unwrap();
            if !["Alive", "ProofHeld"].contains(&event) {
                events.push(event);
            }
        }
        events
    }
}

fn stale() -> ilb_discovery::Error {
    ilb_discovery::Error::Failed { source_name: "the test".into(), cause: cause() }
}
