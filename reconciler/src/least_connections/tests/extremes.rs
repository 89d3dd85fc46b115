//! No pacing, count, cost, ending or moment makes the balancer panic or sleep for longer than a day.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::{
    observations::{EndedBy, Ending},
    siblings::{Heard, Ignored, ReplicaId, Report},
};

/// Something that the balancer is given.
#[derive(Clone, Debug)]
enum Input {
    Backends(Vec<u8>),
    Shared(Vec<u8>),
    Ended(Vec<(u8, Ending)>),
    Sample(Vec<(u32, u32)>, Duration),
    CountingFailed,
    Probed(u8, ProbeResult),
    Acknowledged(Duration),
    Reported(Report),
    Left(ReplicaId),
    Repeated,
}

fn durations() -> impl Strategy<Value = Duration> {
    prop_oneof![Just(Duration::ZERO), Just(Duration::MAX), (0..10_000u64).prop_map(Duration::from_millis)]
}

fn counts() -> impl Strategy<Value = u32> {
    prop_oneof![0..20u32, Just(u32::MAX)]
}

fn endings() -> impl Strategy<Value = Ending> {
    let by = select(vec![EndedBy::Backend, EndedBy::Proxy, EndedBy::NeverAnswered, EndedBy::Unknown]);
    let received = prop_oneof![Just(0), Just(u64::MAX)];
    (durations(), received, by).prop_map(|(age, received, by)| Ending { age, received, by })
}

fn inputs() -> impl Strategy<Value = Input> {
    let results =
        select(vec![ProbeResult::Answered, ProbeResult::Closed, ProbeResult::Unanswered, ProbeResult::NotMade]);
    prop_oneof![
        vec(0..4u8, 0..4).prop_map(Input::Backends),
        vec(0..4u8, 0..4).prop_map(Input::Shared),
        vec((0..4u8, endings()), 0..20).prop_map(Input::Ended),
        (vec((counts(), counts()), 4), durations()).prop_map(|(counts, cost)| Input::Sample(counts, cost)),
        Just(Input::CountingFailed),
        (0..4u8, results).prop_map(|(backend, result)| Input::Probed(backend, result)),
        durations().prop_map(Input::Acknowledged),
        Just(Input::Repeated),
    ]
}

/// What a balancer hears from siblings, of which the first is itself.
fn of_siblings(ages: impl Strategy<Value = Duration>) -> impl Strategy<Value = Input> {
    let replica = (0..4u128).prop_map(ReplicaId::new);
    let report = (replica.clone(), 0..9u64, ages, any::<u64>(), vec((0..5u8, counts()), 0..5));
    let report = report.prop_map(|(replica, sample, age, opened, connections)| {
        let connections = connections.into_iter().map(|(index, connections)| (address(index), connections));
        Report::new(replica, sample, age, opened, connections)
    });
    prop_oneof![3 => report.prop_map(Input::Reported), 1 => replica.prop_map(Input::Left)]
}

fn give(balancer: &mut LeastConnections, input: Input, now: Instant) {
    match input {
        Input::Backends(indexes) => balancer.set_backends(&ready(indexes), now),
        Input::Shared(indexes) => balancer.set_shared(&indexes.into_iter().map(address).collect()),
        Input::Ended(endings) => {
            balancer.ended(endings.into_iter().map(|(index, ending)| (address(index), ending)), now);
        }
        Input::Sample(counts, cost) => {
            let counts = (0..).zip(counts).map(|(i, (connections, opened))| (address(i), count(connections, opened)));
            balancer.sampled(counts.collect::<Vec<_>>(), cost, now);
        }
        Input::CountingFailed => balancer.counting_failed(now),
        Input::Probed(index, result) => balancer.probed(address(index), result, now),
        Input::Acknowledged(took) => {
            if let Some(decision) = balancer.decide(now).decision {
                balancer.acknowledged(&decision, took, now);
            }
        }
        Input::Reported(report) => {
            balancer.sibling_reported(report, now);
        }
        Input::Left(replica) => {
            balancer.sibling_left(replica);
        }
        Input::Repeated => {
            balancer.heard_end();
            balancer.recount(now);
            balancer.renew();
        }
    }
}

proptest! {
    #[test]
    fn no_input_panics_and_the_next_sample_is_due_within_a_day(
        period in durations(), slow_start in durations(), has_siblings: bool,
        steps in vec((prop_oneof![3 => inputs(), 1 => of_siblings(durations())], 0..100_000u64), 1..60),
    ) {
        let pacing = Pacing { max_sample_period: period, slow_start };
        let (mut balancer, mut now) = (LeastConnections::new(pacing), Instant::now());
        if has_siblings {
            balancer = balancer.with_replica(ReplicaId::new(0));
        }
        for (input, pause) in steps {
            give(&mut balancer, input, now);
            prop_assert!(balancer.decide(now).sample_at <= now + Pacing::LONGEST_SAMPLE_PERIOD);
            prop_assert_eq!(balancer.sharing(now).is_some(), has_siblings);
            prop_assert!(balancer.report(now).is_none_or(|report| has_siblings && report.connections.len() <= 4));
            now += Duration::from_millis(pause);
        }
    }

    #[test]
    fn a_replica_that_hears_nobody_does_number_by_number_what_a_balancer_alone_does(
        // Reports that are old, its own ones and those of siblings that have left change nothing.
        steps in vec((inputs(), of_siblings(Just(Duration::from_millis(5_001))), 0..2_000u64), 1..60),
    ) {
        let (start, mut now) = (Instant::now(), Instant::now() + Duration::from_secs(10));
        let mut alone = LeastConnections::new(Pacing::default());
        let mut replica = LeastConnections::new(Pacing::default()).with_replica(ReplicaId::new(0));
        let report = Report::new(ReplicaId::new(9), 1, now - start, 7, [(address(0), 7)]);
        prop_assert_eq!(replica.sibling_reported(report, now), Heard::Ignored(Ignored::Old));
        for (input, of_sibling, pause) in steps {
            give(&mut replica, of_sibling, now);
            give(&mut alone, input.clone(), now);
            give(&mut replica, input, now);
            let (expected, actual) = (alone.decide(now), replica.decide(now));
            let plan = |work: &Work| work.decision.as_ref().map(|d| (d.number, d.reason, d.plan.clone(), d.rows.clone()));
            prop_assert_eq!(plan(&actual), plan(&expected));
            prop_assert_eq!((actual.probes, actual.changes), (expected.probes, expected.changes));
            prop_assert_eq!((actual.sample_at, actual.decide_again_at), (expected.sample_at, expected.decide_again_at));
            now += Duration::from_millis(pause);
        }
    }
}
