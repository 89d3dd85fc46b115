//! No pacing, count, cost, ending or moment makes the balancer panic or sleep for longer than a day.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;
use crate::observations::{EndedBy, Ending};

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

fn give(balancer: &mut LeastConnections, input: Input, now: Instant) {
    match input {
        Input::Backends(indexes) => balancer.set_backends(&ready(indexes), now),
        Input::Shared(indexes) => balancer.set_shared(&indexes.into_iter().map(address).collect()),
        Input::Ended(endings) => balancer.ended(endings.into_iter().map(|(index, ending)| (address(index), ending))),
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
        period in durations(), slow_start in durations(), steps in vec((inputs(), 0..100_000u64), 1..40),
    ) {
        let pacing = Pacing { max_sample_period: period, slow_start };
        let (mut balancer, mut now) = (LeastConnections::new(pacing), Instant::now());
        for (input, pause) in steps {
            give(&mut balancer, input, now);
            prop_assert!(balancer.decide(now).sample_at <= now + Pacing::LONGEST_SAMPLE_PERIOD);
            now += Duration::from_millis(pause);
        }
    }
}
