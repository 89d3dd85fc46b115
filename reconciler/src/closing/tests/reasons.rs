//! Drain, role and age: whom they close, and when.

use super::{
    world::{Behaviour, World},
    *,
};

fn only_drain(after: Duration, within: Duration) -> ClosingPolicy {
    let drain = Drain { after, within, ..Drain::default() };
    ClosingPolicy { drain: Some(drain), ..ClosingPolicy::default() }
}

fn only_role() -> ClosingPolicy {
    ClosingPolicy { role: Some(Role::default()), ..ClosingPolicy::default() }
}

fn left(number: usize) -> Origin {
    Origin::Discovered { left_selector: [address(number)].into() }
}

/// Returns the numbers of orders in each second since `begin`.
fn per_second(world: &World, begin: Instant) -> Vec<usize> {
    let second = |at: Instant| usize::try_from((at - begin).as_secs()).unwrap();
    let mut numbers = vec![0; world.orders.last().map_or(0, |(at, _)| second(*at) + 1)];
    world.orders.iter().for_each(|(at, _)| numbers[second(*at)] += 1);
    numbers
}

#[test]
fn a_drain_before_a_kill_is_spread_over_the_time_that_there_is() {
    let mut world = World::new(only_drain(10 * MINUTE, 2 * MINUTE), &[100, 100]);
    world.run(SECOND);
    let (begin, kill) = (world.now, world.now + 30 * SECOND);
    world.set_state(0, State::Draining);
    world.closing.will_be_killed(address(0), kill);
    world.run(30 * SECOND);
    assert_eq!(world.count(0), 0);
    let last = world.orders.last().unwrap().0;
    assert!((kill - 15 * SECOND..=kill - 5 * SECOND).contains(&last), "{:?} before the kill", kill - last);
    let numbers = per_second(&world, begin);
    let mean = 100 / (last - begin).as_secs().max(1);
    assert!(numbers.iter().all(|number| *number <= 3 * usize::try_from(mean).unwrap()), "{numbers:?}");
    assert!(world.orders.iter().all(|(_, order)| order.why == Why::Drain && order.backend == address(0)));
}

#[test]
fn a_drain_without_a_kill_waits_and_then_takes_its_time() {
    let mut world = World::new(only_drain(10 * MINUTE, 2 * MINUTE), &[100, 100]);
    world.run(SECOND);
    world.set_state(0, State::Draining);
    world.run(10 * MINUTE - SECOND);
    assert!(world.orders.is_empty());
    world.run(MINUTE);
    assert!((10..80).contains(&world.count(0)), "{} after half of the time", world.count(0));
    world.run(MINUTE + 2 * SECOND);
    assert_eq!(world.count(0), 0);
}

#[test]
fn requests_in_progress_have_until_the_end_of_a_drain() {
    let mut world = World::new(only_drain(MINUTE, MINUTE), &[20, 20]);
    world.behaviour = Behaviour { answered_percent: 0, ..Behaviour::default() };
    world.run(SECOND);
    world.set_state(0, State::Draining);
    world.run(2 * MINUTE - SECOND);
    assert!(world.orders.is_empty());
    assert_eq!(world.state, ClosingState::Waiting(Hold::NoCandidate));
    world.run(3 * SECOND);
    assert_eq!(world.count(0), 0);
    assert!(world.orders.iter().all(|(_, order)| order.how == How::Abort && order.only_if == Conditions::NONE));
}

#[test]
fn without_another_backend_nothing_is_drained() {
    let mut world = World::new(only_drain(SECOND, SECOND), &[20]);
    world.run(SECOND);
    world.set_state(0, State::Draining);
    world.run(MINUTE);
    assert!(world.orders.is_empty());
    assert_eq!(world.state, ClosingState::Waiting(Hold::NoOtherBackend));
}

#[test]
fn a_backend_that_left_the_selector_is_left_at_once() {
    let mut world = World::new(only_role(), &[400, 0]);
    world.run(SECOND);
    let begin = world.now;
    world.remove(0, &left(0));
    assert_eq!(world.closing.to_count().collect::<Vec<_>>(), [address(0)]);
    world.run(5 * SECOND);
    assert_eq!(world.count(0), 0);
    let (first, last) = (world.orders[0].0 - begin, world.orders.last().unwrap().0 - begin);
    assert!(first >= 200 * MS && first <= 310 * MS && last <= 3 * SECOND, "{first:?} to {last:?}");
    assert!(world.most_in_a_second() <= 200);
    world.run(15 * SECOND);
    assert_eq!(world.closing.to_count().count(), 0, "nothing is left to count");
}

/// Counting finds a connection that was opened a moment before later, and Traefik may have another one under way.
#[test]
fn connections_that_are_found_after_their_backend_left_are_closed_too() {
    let mut world = World::new(only_role(), &[0, 50]);
    world.run(SECOND);
    world.remove(0, &left(0));
    world.run(SECOND);
    assert!(world.orders.is_empty());
    world.connect(0, 20);
    world.run(SECOND);
    assert_eq!((world.count(0), world.orders.len()), (0, 20));
}

/// The old primary of a database joins the pool of the replicas, and has their clients from then on.
#[test]
fn the_connections_of_another_pool_that_has_the_backend_now_are_not_closed() {
    let mut world = World::new(only_role(), &[50, 0]);
    world.run(SECOND);
    world.remove(0, &left(0));
    world.view.of_other_pools = [address(0)].into();
    world.run(2 * SECOND);
    assert_eq!((world.count(0), world.orders.len()), (0, 50));
    world.connect(0, 20);
    world.run(60 * SECOND);
    assert_eq!((world.count(0), world.orders.len()), (20, 50));
    assert_eq!((world.state, world.closing.to_count().count()), (ClosingState::Idle, 0));
}

#[test]
fn a_backend_that_left_for_any_other_reason_keeps_its_connections() {
    let removals: [(&str, fn(&mut World)); 5] = [
        ("deleted", |world| world.remove(0, &discovered())),
        ("relisted", |world| world.remove(0, &Origin::Relisted)),
        ("other settings", |world| world.remove(0, &Origin::Configured)),
        ("draining", |world| world.set_state(0, State::Draining)),
        ("not ready when it left", |world| {
            world.set_state(0, State::NotReady);
            world.remove(0, &left(0));
        }),
    ];
    for (case, remove) in removals {
        let mut world = World::new(only_role(), &[50, 0]);
        world.run(SECOND);
        remove(&mut world);
        world.run(MINUTE);
        assert!(world.orders.is_empty(), "{case}");
    }
}

#[test]
fn a_backend_that_comes_back_keeps_its_connections() {
    let mut world = World::new(only_role(), &[50, 0]);
    world.run(SECOND);
    let server = world.backends[&address(0)];
    world.remove(0, &left(0));
    world.run(150 * MS);
    world.backends.insert(address(0), server);
    world.tell_backends(&discovered(), world.now);
    world.run(MINUTE);
    assert!(world.orders.is_empty());
}

#[test]
fn a_successor_is_waited_for_but_not_for_ever() {
    for comes in [true, false] {
        let mut world = World::new(only_role(), &[50, 0]);
        world.run(SECOND);
        world.set_state(1, State::NotReady);
        world.remove(0, &left(0));
        world.run(5 * SECOND);
        assert!(world.orders.is_empty());
        if comes {
            world.set_state(1, State::Ready);
            world.run(SECOND);
            assert_eq!(world.count(0), 0);
        } else {
            world.run(4 * SECOND);
            assert!(world.orders.is_empty());
            world.run(3 * SECOND);
            assert_eq!(world.count(0), 0);
        }
    }
}

#[test]
fn old_connections_are_closed_one_by_one_when_they_are_answered() {
    let age = Age { max_rate: 1_000, ..Age::new(5 * MINUTE) };
    let budget = HourlyBudget(10_000);
    let mut world = World::new(ClosingPolicy { age: Some(age), budget, ..ClosingPolicy::default() }, &[100, 100]);
    let born: BTreeMap<u64, Instant> = {
        // They are new, although the pool is not.
        for client in &mut world.clients {
            client.connection.as_mut().unwrap().since = world.now;
        }
        world.clients.iter().map(|client| client.connection.unwrap()).map(|live| (live.cookie, live.since)).collect()
    };
    world.run(5 * MINUTE - SECOND);
    assert!(world.orders.is_empty(), "none is too old");
    world.run(MINUTE + 5 * SECOND);
    let ages = || world.orders.iter().filter_map(|(at, order)| Some(*at - *born.get(&order.cookie)?));
    assert!(ages().count() >= 200, "{}", ages().count());
    assert!(ages().all(|age| age >= 5 * MINUTE));
    let spread = ages().max().unwrap() - ages().min().unwrap();
    assert!((50 * SECOND..=65 * SECOND).contains(&spread), "20 % of 5 min, not {spread:?}");
    assert!(world.orders.iter().all(|(_, order)| order.only_if.answer == AnswerRule::Answered));
}

#[test]
fn an_old_connection_that_is_never_answered_lives_on_unless_there_is_a_grace() {
    for (grace, expected) in [(None, 0), (Some(MINUTE), 20)] {
        let age = Age { grace, ..Age::new(5 * MINUTE) };
        let mut world = World::new(ClosingPolicy { age: Some(age), ..ClosingPolicy::default() }, &[10, 10]);
        world.behaviour = Behaviour { answered_percent: 0, returns: None, ..Behaviour::default() };
        world.run(3 * MINUTE);
        assert_eq!(world.orders.len(), expected, "{grace:?}");
    }
}

#[test]
fn a_single_backend_keeps_old_connections_unless_it_is_asked_for() {
    for even_alone in [false, true] {
        let age = Age { even_alone, ..Age::new(5 * MINUTE) };
        let mut world = World::new(ClosingPolicy { age: Some(age), ..ClosingPolicy::default() }, &[10]);
        world.run(MINUTE);
        assert_eq!(!world.orders.is_empty(), even_alone);
    }
}

#[test]
fn the_most_urgent_reason_comes_first_and_alone() {
    let policy = ClosingPolicy {
        rebalance: Some(Rebalance { rate_permille: 1_000, ..Rebalance::default() }),
        drain: Some(Drain { after: Duration::ZERO, within: 10 * SECOND, quiet: SECOND }),
        role: Some(Role::default()),
        ..ClosingPolicy::default()
    };
    let mut world = World::new(policy, &[100, 100, 100, 100]);
    world.run(SECOND);
    world.scale_out(6);
    world.run(61 * SECOND);
    assert_eq!(world.orders.last().unwrap().1.why, Why::Rebalance);
    world.set_state(1, State::Draining);
    world.run(2 * SECOND);
    assert_eq!(world.orders.last().unwrap().1.why, Why::Drain);
    world.remove(0, &left(0));
    world.run(10 * MINUTE);
    assert_eq!((world.count(0), world.count(1)), (0, 0));
    let is_role = |(_, order): &(Instant, Order)| order.why == Why::Role;
    let (first, last) =
        (world.orders.iter().position(is_role).unwrap(), world.orders.iter().rposition(is_role).unwrap());
    assert!(world.orders[first..=last].iter().all(is_role), "nothing else goes on meanwhile");
    assert_eq!(world.orders[last + 1].1.why, Why::Drain, "which goes on then");
    let mut at = BTreeMap::new();
    for (moment, order) in &world.orders {
        assert_eq!(*at.entry(*moment).or_insert(order.why), order.why, "one reason at a time");
    }
}
