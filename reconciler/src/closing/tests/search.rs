//! Connections that may be closed are found where clients are busy, and where servers answer at once.

use super::{
    simulation::{assert_few, fast, level, minimum},
    world::{Behaviour, Exchanges, World},
    *,
};

/// Clients that ask about twice a second.
const BUSY: Exchanges =
    Exchanges { thinks: Duration::from_millis(500), takes: Duration::from_millis(180), told_apart_percent: 100 };
/// Clients that are quiet for a sixth of the time.
const ASKED: Exchanges = Exchanges { takes: Duration::from_millis(1_500), ..BUSY };
/// Servers that answer within a tick of the clock, as a rule, and clients that ask three times a second.
const QUICK: Exchanges =
    Exchanges { thinks: Duration::from_millis(333), takes: Duration::from_millis(1), told_apart_percent: 5 };

fn with(exchanges: Exchanges) -> Behaviour {
    Behaviour { exchanges: Some(exchanges), ..Behaviour::default() }
}

#[test]
fn busy_clients_are_moved_as_fast_as_is_allowed() {
    for exchanges in [BUSY, ASKED] {
        let (world, took) = level(fast(10), &[100; 4], 8, with(exchanges));
        assert!(took <= 25 * SECOND, "{took:?} for 200 at 10 a second: {exchanges:?}");
        assert!(world.most_in_a_second() <= 10);
        assert_few(&world, minimum(&[100; 4], 8));
    }
}

#[test]
fn connections_to_quick_servers_are_found_when_they_show_that_they_are_answered() {
    let (world, took) = level(fast(10), &[100; 4], 8, with(QUICK));
    assert!(took <= 30 * SECOND, "{took:?} for 200 at 10 a second");
    assert_few(&world, minimum(&[100; 4], 8));
}

#[test]
fn many_connections_are_not_described_more_than_once_a_second() {
    let (world, took) = level(fast(50), &[1_000; 8], 10, with(BUSY));
    assert!(took <= 50 * SECOND, "{took:?} for 1 600 at 50 a second");
    let between = world.descriptions.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(between.clone().all(|time| time >= SECOND), "{:?}", between.min());
}

#[test]
fn what_may_never_be_closed_is_not_looked_for_in_vain_all_the_time() {
    let mut world = World::new(fast(10), &[100; 4]);
    world.behaviour = with(Exchanges { told_apart_percent: 0, ..QUICK });
    world.run(SECOND);
    world.scale_out(8);
    world.run(3 * MINUTE);
    let before = world.descriptions.len();
    world.run(MINUTE);
    assert_eq!(world.state, ClosingState::Waiting(Hold::NoCandidate));
    assert!(world.descriptions.len() - before <= 61, "{} in a minute", world.descriptions.len() - before);
}

/// Until a closer says so, an order may be one that it leaves alone.
#[test]
fn a_run_does_not_end_before_its_orders_have_results() {
    let mut world = World::new(fast(50), &[50; 8]);
    let results_after = Duration::from_millis(105);
    world.behaviour = Behaviour { not_now_percent: 60, results_after, ..Behaviour::default() };
    world.run(SECOND);
    world.scale_out(10);
    world.run(3 * MINUTE);
    assert_eq!(world.state, ClosingState::Idle);
    assert!(world.counts().values().all(|connections| *connections <= 42), "{:?}", world.counts());
}
