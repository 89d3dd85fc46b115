//! The loop with pools balanced by least connections.

use ilb_reconciler::{Pacing, Reason, least_connections::ProbeResult};

use super::*;
use crate::testing::Counts;

/// A running controller of pools balanced by least connections.
struct Counted {
    discovery: Vec<mpsc::Sender<Published>>,
    counts: Vec<Counts>,
    changes: mpsc::Sender<PoolChanges>,
    script: Arc<Script>,
    pushed: mpsc::UnboundedReceiver<Pushed>,
}

/// Push that is in force: for each pool the reason and the weights of its decision.
type Pushed = Vec<(Reason, Vec<u32>)>;

impl Counted {
    fn start(pools: &[&str]) -> Self {
        let counts: Vec<Counts> = pools.iter().map(|_| Counts::default()).collect();
        let counted = |(name, counts): (&&str, &Counts)| pool(name, name, least_connections(counts));
        let (pools, discovery) = pools.iter().zip(&counts).map(counted).unzip::<_, _, Vec<_>, _>();
        let script = Arc::new(Script::default());
        let (sink, _) = script.sink();
        let (changes, receiver) = mpsc::channel(1);
        let (sender, pushed) = mpsc::unbounded_channel();
        let controller =
            Controller::new(Arc::new(sink), pools).with_changes(receiver).with_observer(move |event: &Event<'_>| {
                if let Event::Pushed { desired, .. } = event {
                    let weights =
                        |desired: &Desired| desired.decision.plan.entries().iter().map(|e| e.weight).collect();
                    let parts = desired.values().map(|desired| (desired.decision.reason, weights(desired)));
                    let _ = sender.send(parts.collect());
                }
            });
        tokio::spawn(controller.run(std::future::pending()));
        Self { discovery, counts, changes, script, pushed }
    }

    async fn found(&self, pool: usize, ready: u8) {
        self.discovery[pool].send(Ok(set(ready))).await.unwrap();
    }

    async fn next(&mut self) -> Pushed {
        timeout(Duration::from_secs(60), self.pushed.recv()).await.expect("there is a push").unwrap()
    }

    /// Returns the next push for this reason.
    async fn next_of(&mut self, reason: Reason) -> Pushed {
        loop {
            let pushed = self.next().await;
            if pushed[0].0 == reason {
                return pushed;
            }
        }
    }

    async fn assert_quiet(&mut self) {
        if let Ok(pushed) = timeout(Duration::from_secs(60), self.pushed.recv()).await {
            panic!("there should be no push, but there is {pushed:?}");
        }
    }
}

fn least_connections(counts: &Counts) -> Policy {
    Policy::least_connections(counts.counter(), Pacing::default())
}

/// Returns by how much each weight of a pool exceeds the smallest one.
fn gaps(pushed: &Pushed, pool: usize) -> Vec<u32> {
    let weights = &pushed[pool].1;
    let smallest = weights.iter().min().copied().unwrap_or(0);
    weights.iter().map(|weight| weight - smallest).collect()
}

#[tokio::test(start_paused = true)]
async fn the_first_push_and_the_next_one_are_made_from_counts() {
    let mut counted = Counted::start(&["a"]);
    counted.counts[0].set(&[7, 0, 4]);
    counted.found(0, 3).await;
    let first = counted.next().await;
    assert_eq!((first[0].0, gaps(&first, 0)), (Reason::Backends, vec![0, 7, 3]));
    counted.assert_quiet().await;
    counted.counts[0].set(&[7, 7, 0]);
    let cautious = counted.next().await;
    assert_eq!(
        (cautious[0].0, gaps(&cautious, 0)),
        (Reason::Balance, vec![0, 0, 0]),
        "until the third one has answered"
    );
    let second = counted.next().await;
    assert_eq!((second[0].0, gaps(&second, 0)), (Reason::Balance, vec![0, 0, 7]));
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_replaces_another_before_any_connection_is_still_balanced() {
    let mut counted = Counted::start(&["a"]);
    counted.counts[0].set(&[0, 0, 0]);
    counted.found(0, 3).await;
    counted.next().await;
    counted.assert_quiet().await;

    let (other, discovery) = pool("a", "a", least_connections(&counted.counts[0]));
    counted.changes.send(PoolChanges { removed: Vec::new(), added: vec![other] }).await.unwrap();
    discovery.send(Ok(set(3))).await.unwrap();
    assert_eq!(counted.next().await[0].0, Reason::Backends, "its own first decision is pushed, and acknowledged");
    counted.assert_quiet().await;

    counted.counts[0].set(&[20, 20, 0]);
    let decided = timeout(Duration::from_secs(60), async {
        loop {
            let pushed = counted.next().await;
            if gaps(&pushed, 0) == [0, 0, 20] {
                return pushed[0].0;
            }
        }
    });
    assert_eq!(decided.await, Ok(Reason::Balance), "the connections that ended lead to a push");
}

#[tokio::test(start_paused = true)]
async fn a_push_for_one_pool_renews_the_plans_of_the_others() {
    let mut counted = Counted::start(&["a", "b"]);
    counted.counts[0].set(&[5, 5]);
    counted.counts[1].set(&[5, 5]);
    counted.found(0, 2).await;
    counted.found(1, 2).await;
    counted.next().await;
    counted.assert_quiet().await;
    counted.found(1, 3).await;
    let pushed = counted.next().await;
    assert_eq!((pushed[0].0, pushed[1].0), (Reason::Freshness, Reason::Backends));
}

#[tokio::test(start_paused = true)]
async fn a_failed_count_means_round_robin_until_one_succeeds() {
    let mut counted = Counted::start(&["a"]);
    counted.counts[0].set(&[9, 4]);
    counted.found(0, 2).await;
    counted.next().await;
    counted.counts[0].fail();
    let blind = counted.next().await;
    assert_eq!((blind[0].0, gaps(&blind, 0)), (Reason::Blind, vec![0, 0]));
    counted.counts[0].set(&[9, 4]);
    let counting = counted.next().await;
    assert_eq!((counting[0].0, gaps(&counting, 0)), (Reason::Counting, vec![0, 5]));
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_does_not_answer_is_left_out_until_it_does() {
    let mut counted = Counted::start(&["a"]);
    counted.counts[0].set(&[20, 20, 20]);
    counted.found(0, 3).await;
    counted.next().await;
    counted.counts[0].set_probes(ProbeResult::Unanswered);
    counted.counts[0].set(&[20, 0, 20]);
    let without = counted.next_of(Reason::Suspicion).await;
    assert_eq!(without[0].1.len(), 2);
    counted.counts[0].set_probes(ProbeResult::Answered);
    let with = counted.next_of(Reason::Suspicion).await;
    assert_eq!(with[0].1.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_lost_configuration_is_pushed_again_with_the_counts_of_that_moment() {
    let mut counted = Counted::start(&["a"]);
    counted.counts[0].set(&[7, 0]);
    counted.found(0, 2).await;
    counted.next().await;
    counted.assert_quiet().await;
    counted.script.proofs.lock().unwrap().push_back(Error::Restarted);
    let again = counted.next().await;
    assert_eq!((again[0].0, gaps(&again, 0)), (Reason::Freshness, vec![0, 7]));
    counted.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_push_that_failed_is_repeated_with_the_counts_of_its_own_moment() {
    let mut counted = Counted::start(&["a"]);
    counted.counts[0].set(&[900, 900]);
    counted.found(0, 2).await;
    counted.next().await;
    counted.assert_quiet().await;
    // A backend is added while Traefik is away, and all clients are gone when it is back.
    counted.script.applies.lock().unwrap().extend((0..20).map(|_| away()));
    counted.found(0, 3).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    counted.counts[0].set(&[0, 0, 0]);
    let late = counted.next().await;
    assert_eq!(gaps(&late, 0), [0, 0, 0], "a head start of 900 for the third one would be one for nothing");
}

#[tokio::test(start_paused = true)]
async fn a_push_does_not_wait_for_counts_that_never_come() {
    let mut counted = Counted::start(&["a"]);
    counted.counts[0].set(&[7, 0]);
    counted.found(0, 2).await;
    counted.next().await;
    counted.counts[0].hang();
    counted.script.proofs.lock().unwrap().push_back(Error::Restarted);
    counted.next().await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_beside_one_that_traefik_does_not_take_is_balanced() {
    let mut counted = Counted::start(&["a", "b"]);
    counted.script.refuse("b", Error::RouterDisabled { router: "b".to_owned(), reason: "no".to_owned() });
    counted.counts[0].set(&[7, 7, 7]);
    counted.found(0, 3).await;
    counted.found(1, 2).await;
    counted.next().await;
    counted.counts[0].set(&[7, 0, 7]);
    let pushed = counted.next_of(Reason::Balance).await;
    assert_eq!((pushed.len(), gaps(&pushed, 0)), (1, vec![0, 7, 0]));
}

#[tokio::test(start_paused = true)]
async fn pools_that_share_backends_are_told_so_and_when_they_no_longer_do() {
    let (counts, (sink, _)) = (Counts::default(), Arc::new(Script::default()).sink());
    let shared = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (a, a_sets) = pool("a", "a", least_connections(&counts));
    let (b, b_sets) = pool("b", "b", Policy::round_robin());
    let seen = Arc::clone(&shared);
    let controller = Controller::new(Arc::new(sink), [a, b]).with_observer(move |event: &Event<'_>| {
        if let Event::BackendsShared { pool, backends } = event {
            seen.lock().unwrap().push((pool.to_string(), *backends));
        }
    });
    tokio::spawn(controller.run(std::future::pending()));
    a_sets.send(Ok(set(3))).await.unwrap();
    b_sets.send(Ok(set(2))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Two are ready, and the two that take no connections are those of both pools.
    assert_eq!(shared.lock().unwrap().drain(..).collect::<Vec<_>>(), [("a".to_owned(), 4), ("b".to_owned(), 4)]);
    b_sets.send(Ok(Arc::new(ilb_discovery::BackendSet::empty()))).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(*shared.lock().unwrap(), [("a".to_owned(), 0), ("b".to_owned(), 0)]);
}
