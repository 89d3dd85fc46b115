//! Nothing is closed while anything is in doubt, and closing goes on when it is not any more.

use super::{
    world::{Behaviour, World},
    *,
};

fn rebalancing() -> World {
    let mut world = World::new(only_rebalance(), &[100; 4]);
    world.run(SECOND);
    world.scale_out(8);
    world.run(70 * SECOND);
    assert!(!world.orders.is_empty(), "{:?}", world.state);
    world
}

#[test]
fn each_doubt_stops_a_run_and_its_end_lets_it_go_on() {
    let doubts: [(fn(&mut View), Hold); 6] = [
        (|view| view.is_fresh = false, Hold::StaleBackends),
        (|view| view.is_in_force = false, Hold::NotInForce),
        (|view| view.proxy_since = None, Hold::NotInForce),
        (|view| view.can_count = false, Hold::StaleCounts),
        (|view| view.suspects = [address(5)].into(), Hold::Suspects),
        (|view| view.has_closer = false, Hold::OtherPool), // a dry run, see below
    ];
    for (doubt, hold) in doubts {
        let mut world = rebalancing();
        let (before, sure) = (world.orders.len(), world.view.clone());
        doubt(&mut world.view);
        world.run(MINUTE);
        assert_eq!(world.orders.len(), before, "{hold:?}");
        if world.view.has_closer {
            assert_eq!(world.state, ClosingState::Waiting(hold));
        }
        world.view = sure;
        world.run(MINUTE);
        assert!(world.orders.len() > before, "{hold:?} is over");
    }
}

#[test]
fn a_run_goes_on_at_once_when_the_only_backend_with_room_is_no_longer_in_doubt() {
    let mut world = World::new(only_rebalance(), &[100; 4]);
    world.run(SECOND);
    world.scale_out(5);
    world.run(70 * SECOND);
    let before = world.orders.len();
    world.view.suspects = [address(4)].into();
    world.run(SECOND);
    assert_eq!((world.orders.len(), world.state), (before, ClosingState::Waiting(Hold::Suspects)));
    world.view.suspects.clear();
    world.run(5 * SECOND);
    assert!(world.orders.len() > before, "without the doubtful one the others looked level: {:?}", world.state);
}

#[test]
fn a_proxy_that_restarts_is_left_alone_until_it_has_settled() {
    let mut world = rebalancing();
    let before = world.orders.len();
    world.view.proxy_since = Some(world.now);
    world.run(59 * SECOND);
    assert_eq!((world.orders.len(), world.state), (before, ClosingState::Waiting(Hold::Starting)));
    world.run(5 * SECOND);
    assert!(world.orders.len() > before);
}

#[test]
fn a_process_that_starts_closes_nothing_until_it_has_settled() {
    let mut world = World::new(only_rebalance(), &[100, 0]);
    world.closing = Closing::new(only_rebalance(), world.now);
    world.tell_backends(&Origin::Relisted, world.now);
    world.run(59 * SECOND);
    assert!(world.orders.is_empty());
    world.run(5 * SECOND);
    assert!(!world.orders.is_empty());
}

#[test]
fn old_samples_and_old_views_are_not_relied_on() {
    let mut world = rebalancing();
    let late = world.now + 6 * SECOND;
    assert_eq!(world.closing.decide(late).state, ClosingState::Waiting(Hold::StaleBackends));
    world.closing.view(world.view.clone(), late);
    let verdict = world.closing.decide(late);
    assert_eq!((verdict.state, verdict.orders), (ClosingState::Waiting(Hold::StaleCounts), Vec::new()));
}

#[test]
fn a_closer_that_fails_or_refuses_makes_growing_pauses() {
    for result in [Done::Failed, Done::Refused] {
        let mut world = rebalancing();
        world.behaviour = Behaviour { result, not_now_percent: 0, ..Behaviour::default() };
        let before = world.orders.len();
        world.run(65 * SECOND);
        let first = world.orders.len() - before;
        assert!((1..=4).contains(&first), "{first} orders in the first minute");
        world.run(40 * MINUTE);
        let more = world.orders.len() - before;
        assert!(more <= 14, "{more} in 40 minutes: pauses of 1, 2, 4, 8, 16 and 30 minutes");
        assert!(matches!(world.state, ClosingState::Paused(PauseReason::CloserFailed, _)), "{:?}", world.state);
        world.behaviour = Behaviour::default();
        world.run(40 * MINUTE);
        assert!(world.orders.len() > before + 50, "it goes on: {}", world.orders.len() - before);
    }
}

#[test]
fn a_closer_that_does_not_answer_has_failed() {
    let mut world = rebalancing();
    let mut closing = world.closing.clone();
    let now = world.now + SECOND;
    closing.view(world.view.clone(), now);
    let order = closing.decide(now).orders;
    assert!(!order.is_empty());
    closing.view(world.view.clone(), now + 5 * SECOND);
    assert!(matches!(closing.decide(now + 5 * SECOND).state, ClosingState::Paused(PauseReason::CloserFailed, _)));
    world.run(SECOND);
}

#[test]
fn outside_of_the_window_nothing_is_moved() {
    let window = Some("22:00-05:00".parse().unwrap());
    let mut world = World::new(ClosingPolicy { window, ..only_rebalance() }, &[100, 0]);
    world.view.time_of_day = Duration::from_secs(12 * 3600);
    world.run(2 * MINUTE);
    assert!(world.orders.is_empty());
    assert_eq!(world.state, ClosingState::Waiting(Hold::OutsideWindow));
    world.view.time_of_day = Duration::from_secs(23 * 3600);
    world.run(MINUTE);
    assert!(!world.orders.is_empty());
}

#[test]
fn the_budget_of_an_hour_holds_for_each_backend() {
    let budget = HourlyBudget(20);
    let rebalance = Rebalance { rate_permille: 1_000, ..Rebalance::default() };
    let policy = ClosingPolicy { budget, rebalance: Some(rebalance), ..ClosingPolicy::default() };
    let mut world = World::new(policy, &[100; 4]);
    world.behaviour.not_now_percent = 0;
    world.run(SECOND);
    world.scale_out(8);
    world.run(50 * MINUTE);
    assert_eq!(world.orders.len(), 4 * 10, "20 % of the mean of 50, of each");
    assert_eq!(world.state, ClosingState::Waiting(Hold::Budget));
    world.run(20 * MINUTE);
    assert_eq!(world.orders.len(), 8 * 10);
}

#[test]
fn orders_that_close_nothing_leave_the_budget_alone() {
    let rebalance = Rebalance { rate_permille: 1_000, ..Rebalance::default() };
    let mut world = World::new(ClosingPolicy { rebalance: Some(rebalance), ..ClosingPolicy::default() }, &[100; 4]);
    world.behaviour.not_now_percent = 80;
    world.run(SECOND);
    world.scale_out(8);
    world.run(30 * MINUTE);
    assert!(world.orders.len() > 4 * 50, "more orders than the budget of an hour: {}", world.orders.len());
    assert_eq!(world.state, ClosingState::Idle, "{:?}", world.counts());
}

#[test]
fn nothing_is_closed_without_a_rule() {
    let mut world = World::new(ClosingPolicy::default(), &[100, 0]);
    world.run(SECOND);
    world.set_state(0, State::Draining);
    world.run(30 * MINUTE);
    assert!(world.orders.is_empty() && world.state == ClosingState::Idle);
    assert!(!world.closing.needs_connections(world.now), "and nothing is described");
}

#[test]
fn connections_are_only_described_when_something_may_be_closed() {
    let policy = ClosingPolicy { drain: Some(Drain::default()), role: Some(Role::default()), ..only_rebalance() };
    let mut world = World::new(policy, &[50, 50]);
    world.run(MINUTE);
    assert!(!world.closing.needs_connections(world.now), "a level pool");
    world.set_state(0, State::Draining);
    world.run(MINUTE);
    assert!(!world.closing.needs_connections(world.now), "a drain that begins in 9 minutes");
    world.run(9 * MINUTE);
    assert!(world.closing.needs_connections(world.now + SECOND), "a drain");
}
