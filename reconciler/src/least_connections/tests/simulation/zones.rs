//! Pools whose backends and replicas are in several zones.

use super::*;
use crate::zones::ZonePreference;

/// A pool with a replica in each zone.
#[derive(Clone, Copy, Debug)]
struct Pool {
    /// Backends in each zone.
    backends: [u8; 3],
    /// Parts of the clients that come to each zone.
    parts: [f64; 3],
    live: f64,
    mean_life: f64,
}

/// Imbalance and crossings, in percent.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    imbalance: f64,
    crossing: f64,
}

const HOUR: f64 = 3_600.0;
/// Length of a run in mean lives.
const LIVES: f64 = 8.0;

impl Pool {
    /// Runs the pool with this excess in percent, or without a preference.
    fn run(&self, name: &str, max_excess: Option<u32>) -> Outcome {
        const SEEDS: u64 = 2;
        let mut sum = Outcome { imbalance: 0.0, crossing: 0.0 };
        let mut pushes = 0.0;
        for seed in 0..SEEDS {
            let mut world = self.world(max_excess, 300 + seed);
            world.run(3.0 * self.mean_life);
            (world.zones.opened, world.zones.crossed) = (0, 0);
            let before: u32 = world.replicas.iter().map(|replica| replica.pushes).sum();
            let length = LIVES * self.mean_life;
            sum.imbalance += 100.0 * world.run(length);
            sum.crossing += 100.0 * f64::from(world.zones.crossed) / f64::from(world.zones.opened);
            let after: u32 = world.replicas.iter().map(|replica| replica.pushes).sum();
            pushes += f64::from(after - before) / length / 3.0;
        }
        let mean = |sum: f64| sum / f64::from(u32::try_from(SEEDS).unwrap());
        let outcome = Outcome { imbalance: mean(sum.imbalance), crossing: mean(sum.crossing) };
        let how = max_excess.map_or("off".to_owned(), |percent| format!("{percent} %"));
        println!(
            "{name}, {how}: imbalance {:.1} %, {:.1} % between zones, {:.2} pushes a second",
            outcome.imbalance,
            outcome.crossing,
            mean(pushes)
        );
        outcome
    }

    fn world(&self, max_excess: Option<u32>, seed: u64) -> World {
        let of_backends: Vec<u8> =
            (0..).zip(self.backends).flat_map(|(zone, count)| vec![zone; usize::from(count)]).collect();
        let clients = Clients { per_second: self.live / self.mean_life, mean_life: self.mean_life, brief_percent: 0 };
        let mut world = World::with_replicas(&vec![1; of_backends.len()], &self.parts, clients, seed);
        world.look_every = self.mean_life / 100.0;
        world.exchange.every = if self.mean_life < HOUR { 0.25 } else { 1.0 };
        let backend = |(index, zone): (usize, &u8)| {
            Backend::new(super::address_of(index), State::Ready).with_zone(Some(name_of(*zone)))
        };
        world.discover(&of_backends.iter().enumerate().map(backend).collect());
        for (zone, replica) in (0..).zip(&mut world.replicas) {
            let preference =
                max_excess.map(|percent| ZonePreference::new(name_of(zone)).with_max_excess_percent(percent));
            replica.balancer.set_zones(preference);
        }
        (world.zones.of_backends, world.zones.of_replicas) = (of_backends, vec![0, 1, 2]);
        world
    }
}

fn name_of(zone: u8) -> ilb_discovery::Zone {
    format!("zone-{zone}").parse().unwrap()
}

const EQUAL: Pool = Pool { backends: [4, 4, 4], parts: [1.0; 3], live: 360.0, mean_life: 60.0 };

#[test]
fn traffic_between_equal_zones_falls_to_a_small_part_and_the_totals_stay_level() {
    let pool = EQUAL;
    let off = pool.run("equal zones", None);
    let [_, prefer, _] = [10, 20, 50].map(|percent| pool.run("equal zones", Some(percent)));
    assert!(off.crossing > 60.0, "{off:?}: without a preference, two of three connections go to another zone");
    assert!(prefer.crossing < 0.2 * off.crossing, "{prefer:?} instead of {off:?}");
    assert!(prefer.imbalance < off.imbalance + 10.0, "{prefer:?} instead of {off:?}");
}

#[test]
fn a_zone_with_most_clients_fills_its_backends_up_to_the_ceiling_and_no_further() {
    let pool = Pool { parts: [0.6, 0.2, 0.2], ..EQUAL };
    let off = pool.run("60, 20 and 20 % of the clients", None);
    for percent in [10, 20, 50] {
        let prefer = pool.run("60, 20 and 20 % of the clients", Some(percent));
        assert!(prefer.crossing < 0.8 * off.crossing, "{prefer:?} instead of {off:?}");
        // What is above the ceiling comes from counts that are late, as it does without a preference.
        let most = f64::from(percent) + off.imbalance;
        assert!(prefer.imbalance < most + 3.0, "{prefer:?} where {most} are expected");
    }
}

#[test]
fn a_zone_with_few_backends_does_not_overload_them() {
    let pool = Pool { backends: [2, 5, 5], ..EQUAL };
    let off = pool.run("2, 5 and 5 backends", None);
    let prefer = pool.run("2, 5 and 5 backends", Some(20));
    assert!(prefer.crossing < 0.6 * off.crossing, "{prefer:?} instead of {off:?}");
    assert!(prefer.imbalance < 20.0 + off.imbalance + 3.0, "{prefer:?} instead of {off:?}");
}

#[test]
fn few_long_connections_are_near_as_far_as_they_can_be() {
    let pool = Pool { live: 60.0, mean_life: HOUR, ..EQUAL };
    let off = pool.run("60 connections that live an hour", None);
    let [_, prefer, more] = [10, 20, 50].map(|percent| pool.run("60 connections that live an hour", Some(percent)));
    // A fifth of the mean is one connection.
    assert!(prefer.crossing < 0.85 * off.crossing, "{prefer:?} instead of {off:?}");
    assert!(more.crossing < 0.3 * off.crossing, "{more:?} instead of {off:?}");
    assert!(prefer.imbalance < off.imbalance + 20.0, "{prefer:?} instead of {off:?}");
}

#[test]
fn lives_of_seconds_are_near_too() {
    let pool = Pool { mean_life: 6.0, ..EQUAL };
    let off = pool.run("lives of 6 s", None);
    let prefer = pool.run("lives of 6 s", Some(20));
    assert!(prefer.crossing < 0.5 * off.crossing, "{prefer:?} instead of {off:?}");
    assert!(prefer.imbalance < off.imbalance + 15.0, "{prefer:?} instead of {off:?}");
}
