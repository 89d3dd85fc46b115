//! Laws of the weights, over random states and against the model of Traefik's round robin.

use std::{collections::BTreeMap, net::SocketAddr};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{plan::Plan, traefik_model::TraefikRoundRobin};

fn address(index: usize) -> SocketAddr {
    ([10, 0, u8::try_from(index / 250).unwrap(), u8::try_from(index % 250).unwrap()], 1).into()
}

fn plan(backends: &[LadderInput], decision_number: u64) -> Plan {
    let entries = weights(backends, decision_number).into_iter().enumerate();
    entries.flat_map(|(i, weights)| weights.into_iter().map(move |w| (address(i), w))).collect()
}

fn round_robin(backends: &[LadderInput], shift: usize) -> TraefikRoundRobin {
    let plan = plan(backends, 0);
    let mut entries: Vec<_> = plan.entries().iter().map(|e| (e.address, e.weight)).collect();
    let by = shift % entries.len().max(1);
    entries.rotate_left(by);
    TraefikRoundRobin::new(&entries.into_iter().collect())
}

fn counts(backends: &[LadderInput]) -> BTreeMap<SocketAddr, u32> {
    backends.iter().enumerate().map(|(i, b)| (address(i), b.connections)).collect()
}

fn with_capacities() -> impl Strategy<Value = Vec<LadderInput>> {
    vec((0..80u32, 1..=16u8).prop_map(|(c, w)| LadderInput::new(c).with_capacity(w)), 1..12)
}

fn anything() -> impl Strategy<Value = Vec<LadderInput>> {
    let counts = prop_oneof![0..10u32, 0..100_000u32, Just(u32::MAX)];
    let input = (counts, 1..=16u8, 0..=LadderInput::SLOW_START_DONE).prop_map(|(c, w, slow_start_progress)| {
        LadderInput { slow_start_progress, ..LadderInput::new(c).with_capacity(w) }
    });
    vec(input, 1..30)
}

/// Inputs as another program may build them, field by field.
fn unchecked() -> impl Strategy<Value = Vec<LadderInput>> {
    let fields = (any::<u32>(), any::<u8>(), any::<u32>(), any::<u32>());
    let input = fields.prop_map(|(connections, capacity, slow_start_progress, max_head_start)| LadderInput {
        connections,
        capacity,
        slow_start_progress,
        max_head_start,
    });
    vec(input, 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn after_every_pick_the_counts_are_those_of_join_the_shortest_queue(
        start in vec(0..60u32, 1..15), shift in any::<usize>(),
    ) {
        let backends: Vec<_> = start.iter().map(|c| LadderInput::new(*c)).collect();
        let mut picks = round_robin(&backends, shift);
        let mut actual = counts(&backends);
        let mut shortest = start;
        let until_level: u32 = shortest.iter().map(|c| shortest.iter().max().unwrap() - c).sum();
        for _ in 0..until_level as usize + 5 * shortest.len() {
            *actual.get_mut(&picks.pick().unwrap()).unwrap() += 1;
            *shortest.iter_mut().min().unwrap() += 1;
            let mut sorted: Vec<_> = actual.values().copied().collect();
            sorted.sort_unstable();
            shortest.sort_unstable();
            prop_assert_eq!(&sorted, &shortest);
        }
    }

    #[test]
    fn with_capacities_no_backend_gets_a_connection_while_another_is_emptier_by_more_than_one_per_share(
        backends in with_capacities(), shift in any::<usize>(),
    ) {
        let mut picks = round_robin(&backends, shift);
        let mut actual = counts(&backends);
        let shares = |address: &SocketAddr| {
            f64::from(backends[(0..backends.len()).find(|i| super::tests::address(*i) == *address).unwrap()].capacity)
        };
        let total: u32 = backends.iter().map(|b| u32::from(b.capacity)).sum();
        for _ in 0..total * 60 {
            let picked = picks.pick().unwrap();
            let load = |address: &SocketAddr| f64::from(actual[address]) / shares(address);
            let emptiest = actual.keys().map(load).min_by(f64::total_cmp).unwrap();
            prop_assert!(load(&picked) < emptiest + 2.0, "{} was picked while another has {}", load(&picked), emptiest);
            *actual.get_mut(&picked).unwrap() += 1;
        }
    }

    #[test]
    fn every_backend_is_served_in_every_pass_once_all_deficits_are_filled(
        start in vec(0..60u32, 1..15), shift in any::<usize>(),
    ) {
        let backends: Vec<_> = start.iter().map(|c| LadderInput::new(*c)).collect();
        let mut picks = round_robin(&backends, shift);
        let until_level: u32 = start.iter().map(|c| start.iter().max().unwrap() - c).sum();
        (0..until_level).for_each(|_| { picks.pick().unwrap(); });
        for _ in 0..20 {
            let pass: std::collections::BTreeSet<_> = start.iter().map(|_| picks.pick().unwrap()).collect();
            prop_assert_eq!(pass.len(), start.len());
        }
    }

    #[test]
    fn weights_are_never_zero_and_have_no_common_divisor_unless_they_are_all_equal(
        backends in anything(), number in any::<u64>(),
    ) {
        let weights: Vec<u64> = weights(&backends, number).into_iter().flatten().map(u64::from).collect();
        prop_assert!(weights.iter().all(|w| (HEADROOM..=2 * HEADROOM + 3 * MAX_DEFICIT_PER_SHARE).contains(w)));
        prop_assert!(gcd(weights.iter().copied()) == 1 || weights.iter().all(|w| *w == weights[0]));
    }

    #[test]
    fn equal_counts_give_equal_weights_and_the_next_decision_gives_others(backends in anything(), number in 0..100u64) {
        prop_assert_eq!(weights(&backends, number), weights(&backends, number));
        prop_assert_ne!(weights(&backends, number), weights(&backends, number + 1));
    }

    #[test]
    fn the_order_of_backends_does_not_matter(backends in anything(), shift in any::<usize>()) {
        let mut rotated = backends.clone();
        let mut expected = weights(&backends, 0);
        let by = shift % backends.len();
        rotated.rotate_left(by);
        expected.rotate_left(by);
        prop_assert_eq!(weights(&rotated, 0), expected);
    }
}

#[test]
fn a_lone_new_backend_warms_up_from_its_share_of_a_round_to_its_whole_deficit() {
    let slow_start = Duration::from_secs(10);
    let deficit_at = |age| {
        let new = LadderInput::new(0).with_age(Duration::from_secs(age), slow_start);
        let weights = weights(&[LadderInput::new(100), new], 0);
        weights[1][0] - weights[0][0]
    };
    assert_eq!([0, 5, 10, 99].map(deficit_at), [0, 50, 100, 100]);
    assert_eq!(LadderInput::new(0).with_age(Duration::ZERO, Duration::ZERO), LadderInput::new(0), "no slow start");
}

#[test]
fn equal_capacities_give_the_weights_of_capacity_one() {
    let twos: Vec<_> = [3, 9].map(|c| LadderInput::new(c).with_capacity(2)).into();
    assert_eq!(weights(&twos, 0), weights(&[LadderInput::new(3), LadderInput::new(9)], 0));
}

#[test]
fn without_backends_there_are_no_weights() {
    assert!(weights(&[], 0).is_empty());
}

proptest! {
    #[test]
    fn fields_outside_of_their_range_count_as_the_nearest_in_it(backends in unchecked(), number in any::<u64>()) {
        let in_range = backends.iter().map(|b| LadderInput {
            slow_start_progress: b.slow_start_progress.min(LadderInput::SLOW_START_DONE),
            ..LadderInput::new(b.connections).with_capacity(b.capacity).with_max_head_start(b.max_head_start)
        });
        prop_assert_eq!(weights(&backends, number), weights(&in_range.collect::<Vec<_>>(), number));
    }
}
