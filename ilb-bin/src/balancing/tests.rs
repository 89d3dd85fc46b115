use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ilb_connections::MockConnectionSource;
use ilb_reconciler::{Reason, Standing};

use super::*;
use crate::observe::insight::{
    Insight,
    tests::{address, sample, set},
};

type Counted = Result<Sample, ilb_connections::Error>;

type Script = Arc<Mutex<VecDeque<fn() -> Counted>>>;

/// The balancing of a pool of ready backends, with counts and probes in the hands of the test.
struct Bench {
    balancing: Balancing,
    insight: Insight,
    /// The counts to come; the last one is repeated.
    counts: Script,
    answering: Arc<Mutex<bool>>,
}

impl Bench {
    fn start(backends: usize, counts: &[fn() -> Counted]) -> Self {
        let insight = Insight::new();
        let pool = insight.pool(&"default".parse().unwrap(), &"tcp".parse().unwrap(), "leastconn", None);
        let backends = set(&vec![ilb_discovery::State::Ready; backends]);
        pool.found(&backends);
        let counts = Arc::new(Mutex::new(counts.iter().copied().collect::<VecDeque<_>>()));
        let mut source = MockConnectionSource::new();
        let script = Arc::clone(&counts);
        source.expect_sample().returning(move |_| {
            let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
            let next = script[0];
            if script.len() > 1 {
                script.pop_front();
            }
            next()
        });
        let answering = Arc::new(Mutex::new(true));
        let answers = Arc::clone(&answering);
        let probe: Probe = Box::new(move |_| {
            let answer = *answers.lock().unwrap_or_else(PoisonError::into_inner);
            async move { answer }.boxed()
        });
        let eyes = Eyes { source: Arc::new(source), probe };
        let mut balancing = Balancing::least_connections(Ok(eyes), Pacing::default(), pool);
        balancing.backends(&backends);
        Self { balancing, insight, counts, answering }
    }

    fn counts(&self, next: fn() -> Counted) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = [next].into();
    }

    /// Each choice is in force at once. Returns the first one for which `is` holds.
    async fn until(&mut self, is: impl Fn(&Decision) -> bool) -> Arc<Decision> {
        let mut in_force = None;
        for _ in 0..10_000 {
            let choice = self.balancing.choose();
            if let Some(Choice::LeastConnections(decision)) = &choice
                && in_force != choice
            {
                self.balancing.acknowledged(&Choice::LeastConnections(Arc::clone(decision)), Duration::ZERO);
                if is(decision) {
                    return Arc::clone(decision);
                }
                in_force = choice;
            }
            self.balancing.changed().await;
        }
        panic!("there is no such decision");
    }
}

fn unreadable() -> Counted {
    Err(ilb_connections::Error::Cancelled)
}

fn weight(decision: &Decision, last: u8) -> u32 {
    let weights = decision.plan.entries().iter().filter(|entry| entry.address == address(last));
    weights.map(|entry| entry.weight).sum()
}

#[tokio::test(start_paused = true)]
async fn the_first_plan_is_made_of_counts() {
    let mut bench = Bench::start(2, &[|| Ok(sample(&[9, 4]))]);
    let decision = bench.until(|_| true).await;
    assert_eq!(decision.rows.iter().map(|row| row.connections).collect::<Vec<_>>(), [9, 4]);
    assert_eq!(weight(&decision, 2) - weight(&decision, 1), 5, "the gap is filled first");
}

#[tokio::test(start_paused = true)]
async fn a_count_that_fails_means_round_robin_until_one_succeeds() {
    let mut bench = Bench::start(2, &[|| Ok(sample(&[9, 4])), unreadable]);
    let blind = bench.until(|decision| decision.reason == Reason::Blind).await;
    assert_eq!(weight(&blind, 1), weight(&blind, 2));
    assert!(bench.insight.look(|facts| facts.pools["default"].load.problem.is_some()));
    bench.counts(|| Ok(sample(&[9, 4])));
    let seeing = bench.until(|decision| decision.reason == Reason::Counting).await;
    assert_ne!(weight(&seeing, 1), weight(&seeing, 2));
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_loses_its_connections_and_does_not_answer_is_left_out_until_it_does() {
    let mut bench = Bench::start(3, &[|| Ok(sample(&[20, 20, 20]))]);
    bench.until(|_| true).await;
    *bench.answering.lock().unwrap() = false;
    bench.counts(|| Ok(sample(&[20, 0, 20])));
    let without = bench.until(|decision| weight(decision, 2) == 0).await;
    assert_eq!((without.reason, without.rows[1].standing), (Reason::Suspicion, Standing::Suspect));
    *bench.answering.lock().unwrap() = true;
    let with = bench.until(|decision| weight(decision, 2) > 0).await;
    assert_eq!(with.reason, Reason::Suspicion);
}

#[tokio::test(start_paused = true)]
async fn where_nothing_can_be_seen_it_is_round_robin_at_once_and_said() {
    let insight = Insight::new();
    let pool = insight.pool(&"default".parse().unwrap(), &"tcp".parse().unwrap(), "leastconn", None);
    let mut balancing = Balancing::least_connections(Err("the test sees nothing".to_owned()), Pacing::default(), pool);
    balancing.backends(&set(&[ilb_discovery::State::Ready; 2]));
    let Some(Choice::LeastConnections(decision)) = balancing.choose() else { panic!("a choice") };
    assert_eq!(weight(&decision, 1), weight(&decision, 2));
    assert!(insight.look(|facts| facts.pools["default"].load.problem.is_some()));
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_renewed_when_traefik_begins_anew_for_another_pool() {
    let mut bench = Bench::start(2, &[|| Ok(sample(&[5, 5]))]);
    let first = bench.until(|_| true).await;
    bench.balancing.refresh();
    let second = bench.until(|decision| decision.number > first.number).await;
    assert_eq!(second.reason, Reason::Freshness);
}
