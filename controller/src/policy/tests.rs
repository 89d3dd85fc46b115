//! Policies whose counts and probes the test scripts.

use ilb_discovery::{Backend, BackendSet, State};
use ilb_reconciler::{Reason, decision::Standing, least_connections::ProbeResult};

use super::*;
use crate::testing::{Counts, address};

/// The policy of a pool of ready backends.
struct Bench {
    policy: Policy,
    counts: Counts,
    /// Names of the events that the tests look at.
    events: Vec<String>,
}

impl Bench {
    fn start(backends: u8, established: &[u32]) -> Self {
        let counts = Counts::default();
        counts.set(established);
        let mut policy = Policy::least_connections(counts.counter(), Pacing::default());
        policy.set_backends(&ready(backends));
        Self { policy, counts, events: Vec::new() }
    }

    /// Acknowledges each decision at once, and returns the first one that `matches`.
    async fn until(&mut self, matches: impl Fn(&Decision) -> bool) -> Arc<Decision> {
        let mut in_force: Option<Arc<Decision>> = None;
        for _ in 0..10_000 {
            let (pool, events) = ("default".parse().unwrap(), &mut self.events);
            let mut observer = |event: &Event<'_>| match event {
                Event::CountingFailed { .. } => events.push("CountingFailed".to_owned()),
                Event::Probed { outcome: Err(_), .. } => events.push("Probed, unanswered".to_owned()),
                Event::StandingChanged { change, .. } => events.push(format!("{} to {}", change.from, change.to)),
                _ => {}
            };
            let decided = self.policy.advance(&pool, &mut observer);
            if let Some(decision) = &decided
                && !in_force.as_ref().is_some_and(|before| Arc::ptr_eq(before, decision))
            {
                self.policy.acknowledged(decision, Duration::ZERO);
                if matches(decision) {
                    return Arc::clone(decision);
                }
                in_force = decided;
            }
            let wake_up = self.policy.next().await;
            self.policy.handle(wake_up, &pool, &mut observer);
        }
        panic!("no decision matches");
    }
}

fn ready(backends: u8) -> BackendSet {
    (0..backends).map(|last| Backend::new(address(last), State::Ready)).collect()
}

fn weight(decision: &Decision, last: u8) -> u32 {
    let weights = decision.plan.entries().iter().filter(|entry| entry.address == address(last));
    weights.map(|entry| entry.weight).sum()
}

#[tokio::test(start_paused = true)]
async fn the_first_plan_is_made_from_counts() {
    let mut bench = Bench::start(2, &[9, 4]);
    let decision = bench.until(|_| true).await;
    assert_eq!(decision.rows.iter().map(|row| row.connections).collect::<Vec<_>>(), [9, 4]);
    assert_eq!(weight(&decision, 1) - weight(&decision, 0), 5, "the gap is filled first");
}

#[tokio::test(start_paused = true)]
async fn a_failed_count_means_round_robin_until_one_succeeds() {
    let mut bench = Bench::start(2, &[9, 4]);
    bench.until(|_| true).await;
    bench.counts.fail();
    let blind = bench.until(|decision| decision.reason == Reason::Blind).await;
    assert_eq!(weight(&blind, 0), weight(&blind, 1));
    assert_eq!(bench.events, ["CountingFailed"]);
    bench.counts.set(&[9, 4]);
    let counting = bench.until(|decision| decision.reason == Reason::Counting).await;
    assert_ne!(weight(&counting, 0), weight(&counting, 1));
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_loses_its_connections_and_does_not_answer_is_left_out_until_it_does() {
    let mut bench = Bench::start(3, &[20, 20, 20]);
    bench.until(|_| true).await;
    bench.counts.set_probes(ProbeResult::Unanswered);
    bench.counts.set(&[20, 0, 20]);
    let without = bench.until(|decision| weight(decision, 1) == 0).await;
    assert_eq!((without.reason, without.rows[1].standing), (Reason::Suspicion, Standing::Suspect));
    assert_eq!(bench.events, ["Probed, unanswered", "ready to suspect"]);
    bench.counts.set_probes(ProbeResult::Answered);
    let with = bench.until(|decision| weight(decision, 1) > 0).await;
    assert_eq!(with.reason, Reason::Suspicion);
    assert_eq!(bench.events[2..], ["suspect to ready"], "once, however many probes there were");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_cannot_be_made_blames_no_backend() {
    let mut bench = Bench::start(3, &[20, 20, 20]);
    bench.until(|_| true).await;
    bench.counts.set_probes(ProbeResult::NotMade);
    bench.counts.set(&[20, 0, 20]);
    tokio::time::timeout(Duration::from_secs(10), bench.until(|decision| weight(decision, 1) == 0)).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_connection_that_is_heard_is_counted_at_once() {
    let mut bench = Bench::start(2, &[20, 20]);
    bench.until(|_| true).await;
    // Nothing changes for so long that samples have become rare.
    tokio::time::timeout(Duration::from_secs(60), bench.until(|_| false)).await.unwrap_err();
    bench.counts.set(&[20, 13]);
    let since = Instant::now();
    bench.counts.end_connection();
    bench.until(|decision| decision.reason == Reason::Balance).await;
    assert!(since.elapsed() < Pacing::default().max_sample_period / 4, "{:?}", since.elapsed());
}

#[tokio::test(start_paused = true)]
async fn where_connections_cannot_be_counted_it_is_round_robin_at_once_and_reported() {
    let mut policy = Policy::least_connections_without_counts("not in a test", Pacing::default());
    let mut reasons = Vec::new();
    let mut observer = |event: &Event<'_>| match event {
        Event::CountingImpossible { reason, .. } => reasons.push((*reason).to_owned()),
        other => panic!("{other:?}"),
    };
    policy.announce(&"default".parse().unwrap(), &mut observer);
    assert_eq!(reasons, ["not in a test"]);
    policy.set_backends(&ready(2));
    let decision = policy.advance(&"default".parse().unwrap(), &mut |_: &Event<'_>| {}).unwrap();
    assert_eq!(weight(&decision, 0), weight(&decision, 1));
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_renewed_when_traefik_starts_its_round_robin_from_the_top_for_another_pool() {
    let mut bench = Bench::start(2, &[5, 5]);
    let first = bench.until(|_| true).await;
    bench.policy.renew();
    let second = bench.until(|decision| decision.number > first.number).await;
    assert_eq!(second.reason, Reason::Freshness);
}
