//! Pools whose backends all work.

use proptest::prelude::*;

use super::*;

fn clients(per_second: f64, mean_life: f64) -> Clients {
    Clients { per_second, mean_life, brief_percent: 0 }
}

#[test]
fn lives_of_an_hour_need_at_most_four_pushes_a_minute_and_stay_balanced() {
    for each in [10u32, 30, 100] {
        let mut world = World::new(10, clients(f64::from(10 * each) / 3_600.0, 3_600.0), each.into());
        world.run(60.0);
        world.replicas[0].pushes = 0;
        let imbalance = world.run(1_800.0);
        let per_minute = f64::from(world.replicas[0].pushes) / 30.0;
        println!("{each} each: {per_minute:.1} pushes a minute, imbalance {imbalance:.4}");
        assert!(per_minute <= 4.0, "{per_minute} pushes a minute with {each} connections each");
        assert!(imbalance < 0.5 / f64::from(each).sqrt(), "{imbalance} with {each} connections each");
    }
}

#[test]
fn lives_of_seconds_are_balanced_far_better_than_by_round_robin() {
    let mut world = World::new(10, clients(50.0, 6.0), 1);
    world.run(20.0);
    world.replicas[0].pushes = 0;
    let imbalance = world.run(200.0);
    println!("{} pushes a minute, imbalance {imbalance:.4}", f64::from(world.replicas[0].pushes) / 200.0 * 60.0);
    assert!(imbalance <= 1.2 * 0.0246, "{imbalance}; join-the-shortest-queue has 2.46 % with these clients");
}

/// Where the ports of new connections cannot be predicted, they are found when the whole table is read, and until then
/// each backend would look as empty as at the last reading: the emptiest would get them all (11.6 % without presuming).
#[test]
fn connections_that_are_not_found_yet_are_presumed_where_the_plan_sent_them() {
    let mut world = World::new(10, clients(50.0, 6.0), 1);
    world.replicas[0].reads_table_every = Some(0.5);
    world.run(20.0);
    let imbalance = world.run(200.0);
    println!("imbalance {imbalance:.4}");
    assert!(imbalance <= 3.0 * 0.0246, "{imbalance}; join-the-shortest-queue has 2.46 % with these clients");
}

/// Most of what a reading of the table finds has been placed by plans before the one in force. The head starts of that one are
/// not used up by it (3.9 % if they were).
#[test]
fn connections_that_are_found_late_do_not_count_for_a_later_plan() {
    let (mut sum, seeds) = (0.0, 4);
    for seed in 0..seeds {
        let mut world = World::new(10, clients(50.0, 6.0), seed);
        world.replicas[0].reads_table_every = Some(0.05);
        world.run(20.0);
        sum += world.run(200.0);
    }
    let imbalance = sum / f64::from(u32::try_from(seeds).unwrap());
    println!("imbalance {imbalance:.4}");
    assert!(imbalance <= 1.5 * 0.0246, "{imbalance}; join-the-shortest-queue has 2.46 % with these clients");
}

#[test]
fn an_emptied_backend_fills_up_and_the_pool_is_balanced_again() {
    let mut world = World::new(10, clients(50.0, 6.0), 2);
    world.run(1.0);
    world.reset(9);
    world.run(6.0);
    assert!(world.run(10.0) < 0.08);
}

/// Clients that begin to look in all come to the new backends, so these seem to end far more connections than the others do.
/// Each time one is compared with its peers, it stops catching up (1.6 times as long where 16 connections cleared it, and it
/// was compared again a few connections later).
#[test]
fn new_backends_fill_up_although_all_clients_that_look_in_come_to_them() {
    let seconds_to_level = |looking_in: f64, seed| {
        let staying = 1.0;
        let mut world = World::new(4, clients(staying, 100.0), seed);
        world.run(300.0);
        let per_second = staying + looking_in;
        let brief_percent = to_u32(100.0 * looking_in / per_second) as usize;
        world.clients = Clients { per_second, mean_life: 100.0, brief_percent };
        world.add_servers(6);
        world.discover(&ready(0..6));
        (1..200).find(|_| world.run(1.0).is_finite() && world.imbalance() <= 0.2).unwrap_or(200)
    };
    let sum = |looking_in| (0..8).map(|seed| seconds_to_level(looking_in, seed)).sum::<u32>();
    let (alone, beside) = (sum(0.0), sum(3.0));
    println!("level after {alone} s alone, {beside} s beside clients that look in (sums of 8)");
    assert!(f64::from(beside) <= 1.4 * f64::from(alone), "{beside} s, and {alone} without them");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// From lives of 20 ms to lives of hours, with clients that only look in among those that stay.
    #[test]
    fn nobody_is_ever_suspected(
        seed in 0..u64::MAX,
        backends in 1u8..40,
        life_exponent in -1.7f64..4.0,
        load in 1.0f64..40.0,
        brief_percent in prop::sample::select(vec![0usize, 0, 10, 50, 95]),
        hears_ends: bool,
    ) {
        let mean_life = 10f64.powf(life_exponent);
        let per_second = (load * f64::from(backends) / mean_life).clamp(0.01, 2_000.0);
        let mut world = World::new(backends, Clients { per_second, mean_life, brief_percent }, seed);
        world.hears_ends = hears_ends;
        // Some 2 000 connections, for at least a minute in which some of the backends are new.
        world.run((1_500.0 / per_second).clamp(5.0, 20_000.0));
        let more = backends.saturating_add(3).min(60);
        world.add_servers(more);
        world.discover(&ready(0..more));
        world.run((1_500.0 / per_second).clamp(5.0, 20_000.0));
        prop_assert!(world.replicas[0].changes.is_empty(), "{:?}", world.replicas[0].changes);
    }
}
