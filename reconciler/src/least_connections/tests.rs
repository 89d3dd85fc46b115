//! Least connections beside a Traefik that applies every push at once.

use ilb_discovery::{BackendSet, Capacity};

use super::*;
use crate::sampling::MIN_PERIOD;

mod extremes;
mod sharing;
mod simulation;

const MS: Duration = Duration::from_millis(1);

fn address(index: u8) -> SocketAddr {
    ([10, 0, 0, index], 1).into()
}

fn ready(indexes: impl IntoIterator<Item = u8>) -> BackendSet {
    indexes.into_iter().map(|i| Backend::new(address(i), State::Ready)).collect()
}

fn count(connections: u32, opened: u32) -> Count {
    Count { connections, opened, oldest_opening: None }
}

/// A balancer beside a Traefik that applies every push at once.
struct Bench {
    balancer: LeastConnections,
    now: Instant,
    in_force: Option<Arc<Decision>>,
}

impl Bench {
    fn new(set: &BackendSet) -> Self {
        let mut balancer = LeastConnections::new(Pacing::default());
        let now = Instant::now();
        balancer.set_backends(set, now);
        Self { balancer, now, in_force: None }
    }

    fn after(&mut self, time: Duration) -> &mut Self {
        self.now += time;
        self
    }

    fn sample(&mut self, counts: &[(u32, u32)]) -> &mut Self {
        let counts = (0..).zip(counts).map(|(i, (connections, opened))| (address(i), count(*connections, *opened)));
        self.balancer.sampled(counts.collect::<Vec<_>>(), MS / 20, self.now);
        self
    }

    /// Pushes the decision, if it is a new one, and returns its reason.
    fn push(&mut self) -> Option<Reason> {
        let decision = self.balancer.decide(self.now).decision?;
        if self.in_force.as_ref().is_some_and(|in_force| Arc::ptr_eq(in_force, &decision)) {
            return None;
        }
        self.balancer.acknowledged(&decision, MS, self.now);
        let reason = decision.reason;
        self.in_force = Some(decision);
        Some(reason)
    }

    /// Returns by how much the weight of each backend exceeds the smallest one; `None` if it gets no connections.
    fn gaps(&self) -> Vec<Option<u32>> {
        let rows = &self.in_force.as_ref().unwrap().rows;
        let smallest = rows.iter().flat_map(|r| &r.weights).min().copied().unwrap_or(0);
        rows.iter().map(|r| r.weights.first().map(|w| w - smallest)).collect()
    }
}

#[test]
fn nothing_is_decided_before_there_are_backends_and_counts() {
    let mut balancer = LeastConnections::new(Pacing::default());
    let now = Instant::now();
    assert!(balancer.decide(now).decision.is_none());
    assert_eq!(balancer.decide(now).sample_at, now, "the first sample is due at once");
    balancer.sampled([], MS, now);
    assert!(balancer.decide(now).decision.is_none());
    balancer.set_backends(&ready([0]), now);
    assert!(balancer.decide(now).decision.is_none(), "a plan without counts would undo the balance after a restart");
    balancer.sampled([], MS, now);
    assert!(balancer.decide(now).decision.is_some());
}

#[test]
fn without_backends_the_plan_has_no_entries() {
    let mut bench = Bench::new(&BackendSet::empty());
    assert_eq!(bench.sample(&[]).push(), Some(Reason::Backends));
    assert!(bench.in_force.unwrap().plan.entries().is_empty());
}

#[test]
fn the_first_plan_is_made_from_counts() {
    let mut bench = Bench::new(&ready(0..3));
    assert_eq!(bench.sample(&[(7, 0), (0, 0), (4, 0)]).push(), Some(Reason::Backends));
    assert_eq!(bench.gaps(), [Some(0), Some(7), Some(3)]);
}

#[test]
fn connections_that_end_lead_to_a_push_as_soon_as_the_budget_allows() {
    let mut bench = Bench::new(&ready(0..3));
    bench.sample(&[(30, 0), (30, 0), (30, 0)]).push();
    assert_eq!(bench.after(5 * MS).sample(&[(30, 0), (25, 0), (30, 0)]).push(), None);
    assert_eq!(bench.after(60 * MS).sample(&[(30, 0), (25, 0), (30, 0)]).push(), Some(Reason::Balance));
    assert_eq!(bench.gaps(), [Some(0), Some(5), Some(0)]);
}

#[test]
fn connections_that_open_where_the_plan_leads_need_no_push() {
    let mut bench = Bench::new(&ready(0..3));
    bench.sample(&[(30, 0), (20, 0), (30, 0)]).push();
    assert_eq!(bench.after(100 * MS).sample(&[(30, 0), (25, 5), (30, 0)]).push(), None);
    assert_eq!(bench.after(100 * MS).sample(&[(30, 0), (30, 5), (30, 0)]).push(), Some(Reason::Freshness));
    assert_eq!(bench.gaps(), [Some(0); 3]);
    assert_eq!(bench.after(100 * MS).sample(&[(31, 1), (31, 1), (31, 1)]).push(), None);
}

#[test]
fn connections_that_either_plan_may_have_placed_lead_to_a_push_after_a_while() {
    let mut bench = Bench::new(&ready(0..6));
    bench.sample(&[(14, 0), (14, 0), (14, 0), (13, 0), (13, 0), (13, 0)]).push();
    // If the plan in force had placed these four, it would lead the next two where they should go.
    let opened = [(14, 0), (14, 0), (15, 1), (14, 1), (14, 1), (14, 1)];
    let later = opened.map(|(connections, _)| (connections, 0));
    assert_eq!(bench.after(20 * MS).sample(&opened).push(), None);
    assert_eq!(bench.after(29_000 * MS).sample(&later).push(), None);
    assert_eq!(bench.after(2_000 * MS).sample(&later).push(), Some(Reason::Balance));
    assert_eq!(bench.gaps(), [1, 1, 0, 1, 1, 1].map(Some));
    assert_eq!(bench.after(60_000 * MS).sample(&later).push(), None, "nothing is in doubt any longer");
}

#[test]
fn counts_that_are_not_fresh_lead_to_no_push() {
    let mut bench = Bench::new(&ready(0..2));
    bench.sample(&[(30, 0), (30, 0)]).push();
    assert_eq!(bench.after(5 * MS).sample(&[(30, 0), (20, 0)]).push(), None);
    assert_eq!(bench.after(500 * MS).push(), None);
}

#[test]
fn nothing_is_pushed_for_balance_while_a_push_is_under_way() {
    let mut bench = Bench::new(&ready(0..2));
    bench.sample(&[(30, 0), (30, 0)]).push();
    bench.after(100 * MS).sample(&[(30, 0), (20, 0)]);
    let under_way = bench.balancer.decide(bench.now).decision.unwrap();
    bench.after(100 * MS).sample(&[(30, 0), (10, 0)]);
    assert!(Arc::ptr_eq(&bench.balancer.decide(bench.now).decision.unwrap(), &under_way));
    bench.balancer.set_backends(&ready(0..3), bench.now);
    assert_eq!(bench.push(), Some(Reason::Backends), "but for another set of backends it is");
}

#[test]
fn backends_that_are_added_or_removed_drain_or_change_capacity_are_pushed_at_once() {
    let mut bench = Bench::new(&ready(0..3));
    bench.sample(&[(3, 0), (3, 0), (3, 0)]).push();
    let change = |bench: &mut Bench, set: &BackendSet| {
        bench.balancer.set_backends(set, bench.now);
        bench.push()
    };
    let draining = Backend::new(address(0), State::Draining);
    let large = Backend::new(address(1), State::Ready).with_capacity(Capacity::try_from(3u8).unwrap());
    let set: BackendSet = ready(0..3).iter().cloned().chain([draining.clone()]).collect();
    assert_eq!(change(&mut bench, &set), Some(Reason::Drain));
    assert_eq!(bench.gaps(), [None, Some(0), Some(0)]);
    let set: BackendSet = set.iter().cloned().chain([large.clone()]).collect();
    assert_eq!(change(&mut bench, &set), Some(Reason::Capacity));
    assert_eq!(bench.in_force.as_ref().unwrap().rows[1].weights.len(), 3);
    let set: BackendSet = [draining, large].into_iter().collect();
    assert_eq!(change(&mut bench, &set), Some(Reason::Backends));
    let set: BackendSet = set.iter().filter(|b| b.state() == State::Ready).cloned().collect();
    assert_eq!(change(&mut bench, &set), None, "the removal of a drained backend changes nothing");
    assert_eq!(change(&mut bench, &ready(0..3)), Some(Reason::Backends));
    assert_eq!(change(&mut bench, &ready(0..3)), None);
}

#[test]
fn where_connections_cannot_be_counted_it_is_round_robin_until_they_can() {
    let mut bench = Bench::new(&ready(0..2));
    bench.balancer.counting_failed(bench.now);
    assert_eq!(bench.push(), Some(Reason::Backends));
    assert_eq!(bench.in_force.as_ref().unwrap().plan, Plan::round_robin(&ready(0..2)));
    assert_eq!(bench.balancer.decide(bench.now).sample_at, bench.now + Pacing::default().max_sample_period);
    assert_eq!(bench.after(1_000 * MS).sample(&[(9, 0), (0, 0)]).push(), Some(Reason::Counting));
    bench.balancer.counting_failed(bench.now);
    assert_eq!(bench.push(), Some(Reason::Blind));
}

#[test]
fn a_backend_that_loses_its_connections_is_probed_and_left_out_until_it_answers() {
    let mut bench = Bench::new(&ready(0..3));
    bench.sample(&[(20, 0), (20, 0), (20, 0)]).push();
    bench.after(60 * MS).sample(&[(20, 0), (0, 0), (20, 0)]);
    assert_eq!(bench.balancer.decide(bench.now).probes, [(address(1), ProbeKind::First)]);
    bench.balancer.probed(address(1), ProbeResult::Unanswered, bench.now);
    assert_eq!(bench.push(), Some(Reason::Suspicion));
    assert_eq!(bench.gaps(), [Some(0), None, Some(0)]);
    assert_eq!(bench.in_force.as_ref().unwrap().rows[1].standing, Standing::Suspect);
    let again = bench.balancer.decide(bench.now).decide_again_at.unwrap();
    assert!(bench.balancer.decide(bench.now).probes.is_empty());
    bench.now = again;
    assert_eq!(bench.balancer.decide(bench.now).probes, [(address(1), ProbeKind::Again)]);
    bench.balancer.probed(address(1), ProbeResult::Answered, bench.now);
    assert_eq!(bench.push(), Some(Reason::Suspicion));
    assert_eq!(bench.gaps(), [Some(0), Some(20), Some(0)]);
    assert_eq!(bench.in_force.as_ref().unwrap().rows[1].age, Some(Duration::ZERO), "it counts as a new backend");
}

#[test]
fn a_suspect_that_answers_is_used_again_also_while_connections_cannot_be_counted() {
    let mut bench = Bench::new(&ready(0..3));
    bench.sample(&[(20, 0), (20, 0), (20, 0)]).push();
    bench.after(60 * MS).sample(&[(20, 0), (0, 0), (20, 0)]);
    assert_eq!(bench.balancer.decide(bench.now).probes.len(), 1);
    bench.balancer.probed(address(1), ProbeResult::Unanswered, bench.now);
    assert_eq!(bench.push(), Some(Reason::Suspicion));
    bench.balancer.counting_failed(bench.now);
    assert_eq!(bench.push(), Some(Reason::Blind));
    assert_eq!(bench.in_force.as_ref().unwrap().plan.entries().len(), 2);
    bench.balancer.probed(address(1), ProbeResult::Answered, bench.now);
    assert_eq!(bench.push(), Some(Reason::Suspicion));
    assert_eq!(bench.in_force.as_ref().unwrap().plan.entries().len(), 3);
}

#[test]
fn what_began_before_a_suspect_answered_is_no_evidence_against_it() {
    let second = 1_000 * MS;
    for (begun_before, standing) in [(true, Standing::State(State::Ready)), (false, Standing::Failing)] {
        let mut bench = Bench::new(&ready(0..3));
        bench.sample(&[(20, 0), (20, 0), (20, 0)]).push();
        bench.after(60 * MS).sample(&[(20, 0), (0, 0), (20, 0)]);
        assert_eq!(bench.balancer.decide(bench.now).probes.len(), 1);
        bench.balancer.probed(address(1), ProbeResult::Unanswered, bench.now);
        bench.after(3 * second);
        assert_eq!(bench.balancer.decide(bench.now).probes.len(), 1);
        bench.balancer.probed(address(1), ProbeResult::Answered, bench.now);
        let answered = bench.now;
        bench.after(30 * second);
        for _ in 0..8 {
            let since = bench.now - answered;
            let age = if begun_before { since + second } else { since.saturating_sub(second) };
            let ending = Ending { age, received: 0, by: EndedBy::Unknown };
            bench.balancer.ended([(address(1), ending); 4], bench.now);
            bench.sample(&[(20, 4), (20, 4), (20, 4)]).after(second / 2);
        }
        assert_eq!(bench.balancer.backends[&address(1)].standing(), standing, "begun before: {begun_before}");
    }
}

#[test]
fn if_all_backends_are_suspects_all_are_used() {
    let mut bench = Bench::new(&ready(0..2));
    bench.sample(&[(20, 0), (20, 0)]).push();
    bench.after(60 * MS).sample(&[(0, 0), (0, 0)]);
    for (backend, _) in bench.balancer.decide(bench.now).probes {
        bench.balancer.probed(backend, ProbeResult::Unanswered, bench.now);
    }
    assert_eq!(bench.push(), Some(Reason::Suspicion));
    assert_eq!(bench.gaps(), [Some(0), Some(0)]);
}

#[test]
fn a_suspect_that_leaves_and_comes_back_is_reported_as_no_longer_suspect() {
    let mut bench = Bench::new(&ready(0..2));
    bench.sample(&[(30, 0), (30, 0)]).push();
    let standings = |bench: &mut Bench| -> Vec<Standing> {
        bench.balancer.decide(bench.now).changes.iter().map(|change| change.to).collect()
    };
    bench.after(100 * MS).sample(&[(30, 0), (2, 0)]);
    assert_eq!(standings(&mut bench), []);
    bench.balancer.probed(address(1), ProbeResult::Unanswered, bench.now);
    assert_eq!(standings(&mut bench), [Standing::Suspect]);
    let left = [Backend::new(address(0), State::Ready), Backend::new(address(1), State::NotReady)];
    bench.balancer.set_backends(&left.into_iter().collect(), bench.now);
    assert_eq!(standings(&mut bench), [Standing::State(State::NotReady)]);
    bench.balancer.set_backends(&ready(0..2), bench.now);
    assert_eq!(standings(&mut bench), [], "a change that discovery reports is none of the balancer");
}

#[test]
fn a_backend_on_which_no_connection_appears_is_probed() {
    let mut bench = Bench::new(&ready(0..3));
    bench.sample(&[(9, 0), (9, 0), (0, 0)]).push();
    // The plan sent nine connections to the third backend before the others got theirs.
    bench.after(10 * MS).sample(&[(10, 1), (10, 1), (0, 0)]);
    assert!(bench.balancer.decide(bench.now).probes.is_empty(), "they may have opened before the plan took effect");
    bench.after(10 * MS).sample(&[(11, 1), (11, 1), (0, 0)]);
    assert_eq!(bench.balancer.decide(bench.now).probes, [(address(2), ProbeKind::First)]);
}

#[test]
fn a_connection_that_opens_on_a_leaving_backend_raises_no_doubt_about_the_others() {
    let mut bench = Bench::new(&ready(0..5));
    bench.sample(&[(9, 0); 5]).push();
    let leaving = Backend::new(address(0), State::Draining);
    bench.balancer.set_backends(&ready(1..5).iter().cloned().chain([leaving]).collect(), bench.now);
    assert_eq!(bench.push(), Some(Reason::Drain));
    bench.after(20 * MS).sample(&[(9, 0); 5]);
    // Traefik dialled it by the plan before, and the backend was slow to accept.
    bench.after(20 * MS).sample(&[(10, 1), (9, 0), (9, 0), (9, 0), (9, 0)]);
    assert!(bench.balancer.decide(bench.now).probes.is_empty());
}

#[test]
fn a_backend_that_another_pool_has_as_well_is_not_doubted_by_what_opens_there() {
    let mut bench = Bench::new(&ready(0..3));
    bench.sample(&[(9, 0), (9, 0), (0, 0)]).push();
    bench.balancer.set_shared(&[address(0), address(1)].into());
    for _ in 0..3 {
        // The other pool sends connections to the two that it has.
        bench.after(10 * MS).sample(&[(10, 1), (10, 1), (0, 0)]);
        assert!(bench.balancer.decide(bench.now).probes.is_empty());
    }
}

#[test]
fn samples_slow_down_while_nothing_happens_and_when_they_are_costly() {
    let mut bench = Bench::new(&ready(0..2));
    let pause = |bench: &mut Bench| bench.balancer.decide(bench.now).sample_at - bench.now;
    bench.sample(&[(9, 0), (9, 0)]).push();
    assert_eq!(pause(&mut bench), Duration::ZERO, "what opened before the push is told from what opened after it");
    bench.sample(&[(9, 1), (9, 0)]);
    assert_eq!(pause(&mut bench), MIN_PERIOD);
    bench.balancer.heard_end();
    assert!(pause(&mut bench) < MIN_PERIOD, "an end that was heard");
    for _ in 0..90 {
        bench.after(100 * MS).sample(&[(9, 0), (9, 0)]);
    }
    assert_eq!(pause(&mut bench), Pacing::default().max_sample_period);
    bench.after(100 * MS).sample(&[(9, 1), (9, 0)]);
    assert_eq!(pause(&mut bench), MIN_PERIOD);
    let counts = [(address(0), count(9, 1))];
    for _ in 0..60 {
        bench.balancer.sampled(counts, 4 * MS, bench.now);
    }
    assert!(pause(&mut bench) > 300 * MS);
    for _ in 0..60 {
        bench.balancer.sampled(counts, 40 * MS, bench.now);
    }
    assert_eq!(pause(&mut bench), Pacing::default().max_sample_period);
}

#[test]
fn a_decision_lists_the_facts_behind_it() {
    let mut bench = Bench::new(&ready(0..1));
    bench.sample(&[(7, 0)]).push();
    let decision = bench.in_force.unwrap();
    assert_eq!(decision.reason.to_string(), "backends");
    let row = decision.rows[0].to_string();
    assert!(row.starts_with("10.0.0.0:1 ready, 7 connections, capacity 1, weight 100000"), "{row}");
}

#[test]
fn pushes_that_wait_on_a_busy_machine_do_not_slow_down_the_next_ones() {
    let mut bench = Bench::new(&ready(0..2));
    bench.sample(&[(30, 0), (30, 0)]).push();
    let decision = bench.in_force.clone().unwrap();
    for took in [5, 80, 90, 5, 70, 80, 90] {
        bench.balancer.acknowledged(&decision, took * MS, bench.now);
    }
    assert!(bench.balancer.push_limit.period() <= 100 * MS);
    for _ in 0..40 {
        bench.balancer.acknowledged(&decision, 30 * MS, bench.now);
    }
    assert!(bench.balancer.push_limit.period() > 500 * MS, "but a push that always takes long is costly");
}
