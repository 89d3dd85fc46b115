//! Rebalance in simulated worlds, with clients that come back at once, late or never.

use super::{
    world::{Behaviour, World},
    *,
};

pub(super) fn fast(max_rate: u32) -> ClosingPolicy {
    let rebalance = Rebalance { max_rate, rate_permille: 1_000, ..Rebalance::default() };
    ClosingPolicy { rebalance: Some(rebalance), budget: HourlyBudget(1_000), ..ClosingPolicy::default() }
}

fn is_level(world: &World) -> bool {
    let counts = world.counts();
    let (most, sum) = (counts.values().max().copied().unwrap_or(0), counts.values().sum::<usize>());
    world.closing.away() == 0 && most * counts.len() * 100 <= sum * 106
}

/// Returns the least number of closings that makes these counts level.
pub(super) fn minimum(counts: &[usize], to: usize) -> usize {
    let goal = counts.iter().sum::<usize>() / to;
    counts.iter().map(|count| count.saturating_sub(goal)).sum()
}

pub(super) fn level(policy: ClosingPolicy, before: &[usize], to: usize, behaviour: Behaviour) -> (World, Duration) {
    let mut world = World::new(policy, before);
    world.behaviour = behaviour;
    world.run(SECOND);
    world.scale_out(to);
    world.run(MINUTE - SECOND);
    assert!(world.orders.is_empty(), "a change has to settle first");
    let took = world.run_until(world.now + 60 * MINUTE, is_level);
    assert!(is_level(&world), "{:?} after {took:?}: {:?}", world.counts(), world.state);
    world.run(5 * MINUTE);
    (world, took)
}

fn closings(world: &World) -> usize {
    world.clients.iter().map(|client| usize::try_from(client.closed).unwrap()).sum()
}

pub(super) fn assert_few(world: &World, minimum: usize) {
    assert!(closings(world) * 100 <= minimum * 105, "{} closings, and {minimum} were needed", closings(world));
    assert!(world.clients.iter().all(|client| client.closed <= 1), "a client was closed twice");
}

#[test]
fn a_scale_out_of_400_connections_becomes_level_with_hardly_a_closing_too_many() {
    let (world, took) = level(fast(10), &[100; 4], 8, Behaviour::default());
    assert_few(&world, minimum(&[100; 4], 8));
    assert!(took <= 25 * SECOND, "{took:?} at 10 a second");
    assert!(world.most_in_a_second() <= 10);
}

#[test]
fn a_scale_out_of_8000_connections_becomes_level_with_hardly_a_closing_too_many() {
    let (world, took) = level(fast(50), &[1_000; 8], 10, Behaviour::default());
    assert_few(&world, minimum(&[1_000; 8], 10));
    assert!(took <= 40 * SECOND, "{took:?} at 50 a second");
    assert!(world.most_in_a_second() <= 50);
}

#[test]
fn by_default_few_are_closed_at_a_time() {
    let (world, _) = level(only_rebalance(), &[100; 4], 8, Behaviour::default());
    assert_eq!(world.most_in_a_second(), 1, "0.5 % of 50, rounded up");
    assert_few(&world, minimum(&[100; 4], 8));
}

#[test]
fn clients_that_come_back_late_cause_no_closing_too_many() {
    let late = Behaviour { returns: Some((5_000, 25_000)), ..Behaviour::default() };
    let (world, _) = level(fast(50), &[100; 4], 8, late);
    assert_few(&world, minimum(&[100; 4], 8));
}

#[test]
fn clients_that_never_come_back_lose_20_connections_and_no_more_for_ten_minutes() {
    let mut world = World::new(fast(50), &[100; 4]);
    world.behaviour = Behaviour { returns: None, not_now_percent: 0, ..Behaviour::default() };
    world.run(SECOND);
    world.scale_out(8);
    world.run(MINUTE + 60 * SECOND);
    assert_eq!(closings(&world), 20);
    assert!(matches!(world.state, ClosingState::Paused(PauseReason::ClientsStayAway, _)), "{:?}", world.state);
    world.run(9 * MINUTE);
    assert_eq!(closings(&world), 20);
    world.run(2 * MINUTE);
    assert_eq!(closings(&world), 40, "it tries again after ten minutes");
}

#[test]
fn clients_that_stop_coming_back_lose_no_more_than_had_come_back() {
    let mut world = World::new(fast(50), &[500; 4]);
    world.run(SECOND);
    world.scale_out(8);
    world.run_until(world.now + 10 * MINUTE, |world| closings(world) >= 100);
    world.behaviour.returns = None;
    let before = closings(&world);
    world.run(5 * MINUTE);
    let lost = closings(&world) - before;
    assert!(lost <= 110, "{lost} of those that did not come back, after {before} that did");
    assert!(matches!(world.state, ClosingState::Paused(PauseReason::ClientsStayAway, _)), "{:?}", world.state);
}

#[test]
fn a_level_pool_with_churn_and_a_single_backend_lose_nothing() {
    for connections in [&[50; 8][..], &[400], &[0; 4], &[3, 0, 0]] {
        let mut world = World::new(fast(50), connections);
        world.behaviour = Behaviour { churn_per_second: 20, ..Behaviour::default() };
        if world.clients.is_empty() {
            world.behaviour.churn_per_second = 0;
        }
        world.run(10 * MINUTE);
        assert!(world.orders.is_empty(), "{connections:?}: {:?}", world.orders.first());
    }
}

#[test]
fn capacities_are_goals() {
    let mut world = World::new(fast(50), &[200, 200]);
    world.run(SECOND);
    world.backends.get_mut(&address(0)).unwrap().capacity = 3;
    world.tell_backends(&discovered(), world.now);
    world.run(5 * MINUTE);
    let counts = (world.count(0), world.count(1));
    assert!((290..=310).contains(&counts.0), "{counts:?}");
    assert_few(&world, 100);
}

#[test]
fn a_change_of_the_set_ends_a_run_until_it_has_settled() {
    let mut world = World::new(fast(10), &[100; 4]);
    world.run(SECOND);
    world.scale_out(8);
    world.run(70 * SECOND);
    let before = world.orders.len();
    assert!(before > 0);
    world.scale_out(9);
    world.run(59 * SECOND);
    assert_eq!(world.orders.len(), before);
    world.run(5 * SECOND);
    assert!(world.orders.len() > before);
}

#[test]
fn two_replicas_make_the_sum_level() {
    let worlds =
        [&[60, 40, 50, 50], &[40, 60, 50, 50]].map(|before| level(fast(10), before, 8, Behaviour::default()).0);
    for number in 0..8 {
        let sum: usize = worlds.iter().map(|world| world.count(number)).sum();
        assert!((47..=53).contains(&sum), "backend {number} has {sum}");
    }
}

#[test]
fn two_pools_never_close_at_once_and_both_become_level() {
    let mut worlds = [World::new(fast(10), &[100; 4]), World::new(fast(10), &[50, 50])];
    for world in &mut worlds {
        world.tick(true);
        world.scale_out(world.backends.len() * 2);
    }
    let (mut turns, mut orders, mut holders) = (Turns::default(), [0, 0], Vec::new());
    for _ in 0..20_000 {
        let now = worlds[0].now;
        let wants: Vec<(usize, Why)> =
            worlds.iter().enumerate().filter_map(|(pool, world)| Some((pool, world.closing.wants(now)?))).collect();
        let turn = turns.next(wants);
        for (pool, world) in worlds.iter_mut().enumerate() {
            world.tick(turn == Some(pool));
            if world.orders.len() > orders[pool] {
                orders[pool] = world.orders.len();
                assert_eq!(turn, Some(pool));
                if holders.last() != Some(&pool) {
                    holders.push(pool);
                }
            }
        }
    }
    assert!(worlds.iter().all(is_level), "{:?}", worlds.each_ref().map(World::counts));
    assert_eq!(holders, [0, 1], "one after the other");
}

#[test]
fn a_dry_run_shows_as_many_as_are_needed_and_closes_none() {
    for has_closer in [true, false] {
        let mut world = World::new(ClosingPolicy { dry_run: has_closer, ..fast(50) }, &[100; 4]);
        world.view.has_closer = has_closer;
        world.run(SECOND);
        world.scale_out(8);
        world.run(10 * MINUTE);
        assert!(world.orders.is_empty() && closings(&world) == 0);
        assert!((180..=200).contains(&world.shown.len()), "{} shown", world.shown.len());
        let cookies: BTreeSet<u64> = world.shown.iter().map(|order| order.cookie).collect();
        assert_eq!(cookies.len(), world.shown.len(), "each once");
    }
}

#[test]
fn a_closer_that_comes_does_what_was_shown() {
    let mut world = World::new(fast(50), &[100; 4]);
    world.view.has_closer = false;
    world.run(SECOND);
    world.scale_out(8);
    world.run(5 * MINUTE);
    world.view.has_closer = true;
    world.run(5 * MINUTE);
    assert!(is_level(&world), "{:?}", world.counts());
}
