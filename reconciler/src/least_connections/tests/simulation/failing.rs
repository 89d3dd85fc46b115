//! Pools some of whose backends fail.

use proptest::prelude::*;

use super::*;

fn clients(per_second: f64, mean_life: f64) -> Clients {
    Clients { per_second, mean_life, brief_percent: 0 }
}

/// A pool that has run for a while before the first `failing` backends begin to fail.
fn begin_to_fail(mut world: World, failing: usize, behaviour: Behaviour) -> World {
    world.run(10.0);
    for backend in &mut world.backends[..failing] {
        backend.behaviour = behaviour;
    }
    world.take_picks();
    world
}

/// Shares of all connections: those that backend 0 gets, and those that fail.
fn shares(world: &mut World, seconds: f64) -> (f64, f64) {
    world.run(seconds);
    let picks = world.take_picks();
    let all = f64::from(picks.iter().map(|p| p.0).sum::<u32>());
    (f64::from(picks[0].0) / all, f64::from(picks.iter().map(|p| p.1).sum::<u32>()) / all)
}

const KINDS: [Behaviour; 4] =
    [Behaviour::Closes, Behaviour::Greets, Behaviour::ClosesAfterRequest(0.02), Behaviour::Full(15)];

#[test]
fn a_backend_that_accepts_and_closes_gets_little_and_soon_next_to_nothing() {
    for behaviour in KINDS {
        for keeps_its_connections in [true, false] {
            let mut world = begin_to_fail(World::new(10, clients(50.0, 6.0), 3), 1, behaviour);
            if !keeps_its_connections {
                world.reset(0);
            }
            let first = shares(&mut world, 2.0);
            let then = shares(&mut world, 8.0);
            let later = shares(&mut world, 40.0);
            println!("{behaviour:?}: failed {:.3}, from 2 s {:.3}, from 10 s {:.4}", first.1, then.1, later.1);
            assert!(then.1 <= 0.05, "{behaviour:?}: {} failed from 2 s on", then.1);
            assert!(later.1 <= 0.01, "{behaviour:?}: {} failed from 10 s on", later.1);
            let standing = world.replicas[0].balancer.backends[&address(0)].standing();
            assert_eq!(standing, Standing::Failing, "{behaviour:?}");
        }
    }
}

#[test]
fn a_backend_that_is_full_keeps_being_used_up_to_its_limit() {
    let mut world = begin_to_fail(World::new(10, clients(50.0, 6.0), 4), 1, Behaviour::Full(15));
    world.run(20.0);
    let mut sum = 0;
    for _ in 0..40 {
        world.run(1.0);
        sum += world.backends[0].connections;
    }
    assert!(sum / 40 >= 10, "{} connections on average where 15 are possible", sum / 40);
}

#[test]
fn a_full_backend_is_not_taken_for_a_mended_one_and_refuses_next_to_nobody() {
    for seed in 0..12 {
        let mut world = begin_to_fail(World::new(10, clients(50.0, 6.0), seed), 1, Behaviour::Full(15));
        let (_, failed_at_first) = {
            world.run(2.0);
            world.take_picks();
            shares(&mut world, 8.0)
        };
        let (_, failed) = shares(&mut world, 60.0);
        // Ends and arrivals at its limit make it serve enough connections for any number of trials.
        assert!(failed <= 0.003, "seed {seed}: {failed} failed from 10 s on");
        assert!(failed_at_first <= 0.01, "seed {seed}: {failed_at_first} failed from 2 s on");
        let full = address(0);
        let changes = world.replicas[0].changes.iter().filter(|(_, change)| change.backend == full);
        let standings: Vec<_> = changes.map(|(_, change)| change.to).collect();
        assert_eq!(standings, [Standing::Failing], "seed {seed}");
    }
}

#[test]
fn a_mended_backend_is_let_back_by_degrees() {
    for behaviour in KINDS {
        let mut world = begin_to_fail(World::new(10, clients(50.0, 6.0), 5), 1, behaviour);
        world.run(30.0);
        world.backends[0].behaviour = Behaviour::Serves;
        world.run(90.0);
        assert!(world.backends[0].connections > 20, "{behaviour:?}: {}", world.backends[0].connections);
        assert_eq!(world.replicas[0].balancer.backends[&address(0)].standing(), Standing::State(State::Ready));
    }
}

#[test]
fn most_of_the_backends_may_fail() {
    let mut world = begin_to_fail(World::new(5, clients(25.0, 20.0), 6), 3, Behaviour::Closes);
    world.run(10.0);
    world.take_picks();
    let (_, failed) = shares(&mut world, 30.0);
    assert!(failed <= 0.02, "{failed}");
}

#[test]
fn where_most_backends_look_bad_only_a_failed_probe_leaves_one_out() {
    for (behaviour, is_left_out) in [(Behaviour::ClosesAfterRequest(0.02), false), (Behaviour::Closes, true)] {
        let mut world = begin_to_fail(World::new(5, clients(25.0, 2.0), 6), 3, behaviour);
        world.run(20.0);
        let standings: Vec<_> = (0..3).map(|i| world.replicas[0].balancer.backends[&address(i)].standing()).collect();
        assert_eq!(standings, [Standing::Failing; 3], "{behaviour:?}");
        assert_eq!(world.is_in_plan(), [!is_left_out, !is_left_out, !is_left_out, true, true], "{behaviour:?}");
    }
}

#[test]
fn if_all_backends_fail_all_are_used() {
    let mut world = begin_to_fail(World::new(3, clients(25.0, 20.0), 7), 3, Behaviour::Closes);
    world.run(30.0);
    assert_eq!(world.is_in_plan(), [true; 3]);
    let mut world = begin_to_fail(World::new(3, clients(25.0, 20.0), 7), 3, Behaviour::Refuses);
    world.run(30.0);
    assert_eq!(world.is_in_plan(), [true; 3]);
}

/// A pool of three backends that all close connections: the fourth one, which served, has left.
fn without_a_working_backend() -> World {
    let mut world = begin_to_fail(World::new(4, clients(25.0, 2.0), 11), 3, Behaviour::Closes);
    world.run(10.0);
    world.discover(&ready(0..3));
    world.run(1.0);
    let standings: Vec<_> = (0..3).map(|i| world.replicas[0].balancer.backends[&address(i)].standing()).collect();
    assert_eq!(standings, [Standing::Failing; 3]);
    world.take_picks();
    world
}

#[test]
fn where_all_fail_one_on_trial_is_not_alone_in_the_plan_and_gets_its_equal_share() {
    // It still fails, but a probe does not show that, so that it gets one trial after the other.
    for behaviour in [Behaviour::ClosesAfterRequest(0.02), Behaviour::Full(0)] {
        let mut world = without_a_working_backend();
        world.backends[0].behaviour = behaviour;
        let mut trials = 0;
        for step in 0..3_000 {
            world.run(0.1);
            trials += u32::from(world.replicas[0].balancer.backends[&address(0)].admission.admits());
            assert_eq!(world.is_in_plan(), [true, true, true, false], "{behaviour:?}, after {step} tenths of a second");
            assert!(world.weights().windows(2).all(|pair| pair[0] == pair[1]), "{behaviour:?}: {:?}", world.weights());
        }
        assert!(trials > 0, "{behaviour:?}: it was never on trial");
        let picks = world.take_picks();
        let mean = f64::from(picks.iter().map(|p| p.0).sum::<u32>()) / 3.0;
        for (picked, _) in &picks[..3] {
            assert!((f64::from(*picked) - mean).abs() <= 0.05 * mean, "{behaviour:?}: {picks:?}");
        }
    }
}

#[test]
fn where_all_failed_the_first_that_passes_its_trials_gets_all() {
    let mut world = without_a_working_backend();
    world.backends[0].behaviour = Behaviour::Serves;
    // The longest pause before a probe, and four trials of little more than a second.
    world.run(70.0);
    assert_eq!(world.replicas[0].balancer.backends[&address(0)].standing(), Standing::State(State::Ready));
    assert_eq!(world.is_in_plan(), [true, false, false, false]);
    world.take_picks();
    let (share, failed) = shares(&mut world, 20.0);
    assert!(share >= 0.98 && failed <= 0.02, "it gets {share} of all, and {failed} of them fail");
}

#[test]
fn suspects_and_failing_backends_without_one_that_works_are_all_used() {
    let mut world = begin_to_fail(World::new(4, clients(25.0, 2.0), 12), 2, Behaviour::Closes);
    world.run(10.0);
    for backend in &mut world.backends[2..] {
        backend.behaviour = Behaviour::Refuses;
    }
    world.backends[0].behaviour = Behaviour::ClosesAfterRequest(0.02);
    world.run(10.0);
    for _ in 0..1_000 {
        world.run(0.1);
        let standings: Vec<_> = (2..4).map(|i| world.replicas[0].balancer.backends[&address(i)].standing()).collect();
        assert_eq!((world.is_in_plan(), standings), (vec![true; 4], vec![Standing::Suspect; 2]));
    }
}

#[test]
fn a_refusing_backend_gets_few_connections_and_soon_none() {
    for keeps_its_connections in [false, true] {
        let mut world = begin_to_fail(World::new(10, clients(50.0, 6.0), 8), 1, Behaviour::Refuses);
        if !keeps_its_connections {
            world.reset(0);
        }
        world.run(2.0);
        println!("{} refused within 2 s", world.take_picks()[0].1);
        world.run(3.0);
        let failed = world.take_picks()[0].1;
        assert!(failed <= 7, "{failed} of about 150 connections were refused");
        world.run(20.0);
        assert_eq!(world.take_picks()[0].1, 0);
        world.backends[0].behaviour = Behaviour::Serves;
        world.run(20.0);
        assert!(world.backends[0].connections > 20, "it is used again once it answers");
    }
}

#[test]
fn a_zone_that_vanishes_takes_no_other_backend_with_it() {
    for (backends, lost) in [(120u8, 40), (240, 80), (250, 170)] {
        let mut world = begin_to_fail(World::new(backends, clients(150.0, 20.0), 9), lost, Behaviour::Swallows);
        let working = usize::from(backends) - lost;
        for step in 0..150 {
            world.run(0.1);
            let in_plan = world.is_in_plan();
            let working_in_plan = in_plan[lost..].iter().filter(|is_in| **is_in).count();
            assert_eq!(
                working_in_plan, working,
                "{backends} backends, {step} tenths of a second after {lost} vanished"
            );
            if step == 29 {
                world.take_picks();
            }
        }
        let picks = world.take_picks();
        let failed: u32 = picks.iter().map(|p| p.1).sum();
        let all: u32 = picks.iter().map(|p| p.0).sum();
        println!("{backends} backends, {lost} lost: {failed} of {all} failed from 3 s on");
        assert!(f64::from(failed) <= 0.02 * f64::from(all), "{failed} of {all} failed from 3 s on");
    }
}

#[test]
fn a_late_connection_to_a_draining_backend_says_nothing_about_the_others() {
    let mut world = World::new(100, clients(20.0, 60.0), 10);
    world.run(5.0);
    for leaving in 0..10 {
        let draining = Backend::new(address(leaving), State::Draining);
        world.discover(&ready(0..100).iter().cloned().chain([draining]).collect());
        // Traefik dialled it between the last sample and the push.
        world.straggle(leaving.into());
        world.run(2.0);
    }
    assert_eq!(world.replicas[0].probes, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn failing_backends_get_at_most_their_share_after_2_s_and_no_working_one_is_left_out(
        seed in 0..u64::MAX,
        backends in 3u8..40,
        failing_percent in 1usize..50,
        life_exponent in -1.7f64..3.5,
        per_backend in 2.0f64..10.0,
        kind in prop::sample::select(vec![
            Behaviour::Closes, Behaviour::Greets, Behaviour::ClosesAfterRequest(0.02), Behaviour::Full(0),
            Behaviour::Refuses, Behaviour::Swallows,
        ]),
        keeps_its_connections: bool,
    ) {
        let mean_life = 10f64.powf(life_exponent);
        let world = World::new(backends, clients(per_backend * f64::from(backends), mean_life), seed);
        let failing = (usize::from(backends) * failing_percent / 100).max(1);
        let mut world = begin_to_fail(world, failing, kind);
        if !keeps_its_connections {
            (0..failing).for_each(|backend| world.reset(backend));
        }
        world.run(2.0);
        world.take_picks();
        let mut picks = vec![(0, 0); backends.into()];
        for _ in 0..60 {
            world.run(0.5);
            for (sum, new) in picks.iter_mut().zip(world.take_picks()) {
                *sum = (sum.0 + new.0, sum.1 + new.1);
            }
            let in_plan = world.is_in_plan();
            prop_assert!(in_plan[failing..].iter().all(|is_in| *is_in), "left out: {:?}", world.replicas[0].changes);
        }
        let all: u32 = picks.iter().map(|p| p.0).sum();
        let share = f64::from(all) / f64::from(backends);
        for (picked, _) in &picks[..failing] {
            // Three standard deviations of what an equal share varies by chance.
            prop_assert!(f64::from(*picked) <= share + 3.0 * share.sqrt(), "{picked} where {share} are its share");
        }
    }
}
