//! Pools behind several replicas that hear each other.

use super::*;

/// How the replicas of a pool decide.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Way {
    /// Each connection goes to a least loaded backend by the true counts, as by one balancer that carries all.
    Ideal,
    /// By the counts of one balancer that carries all.
    One,
    /// Each replica by its own counts.
    Apart,
    /// Each replica by the counts of all, which it asks for every so many seconds.
    Sharing(f64),
}

/// A pool with some replicas and clients.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pool<'a> {
    pub(super) capacities: &'a [u8],
    /// Parts of the arrivals by replica.
    pub(super) parts: &'a [f64],
    pub(super) live: f64,
    pub(super) mean_life: f64,
}

const EQUAL: &[u8] = &[1; 10];
const MIXED: &[u8] = &[1, 1, 1, 2, 2, 3, 4];
const THREE: &[f64] = &[1.0; 3];

/// An hour: with so long lives, few connections open and each counts.
const LONG: f64 = 3_600.0;

impl Pool<'_> {
    /// Returns the pool in its usual state.
    fn warm(&self, way: Way, seed: u64) -> World {
        let clients = Clients { per_second: self.live / self.mean_life, mean_life: self.mean_life, brief_percent: 0 };
        let parts = if way == Way::One { &[1.0] } else { self.parts };
        let mut world = World::with_replicas(self.capacities, parts, clients, seed);
        world.look_every = self.mean_life / 100.0;
        world.is_ideal = way == Way::Ideal;
        if let Way::Sharing(every) = way {
            world.exchange.every = every;
        }
        world.run(3.0 * self.mean_life);
        world
    }

    /// Returns the imbalance in percent of what `run` does with the pool, each time in its usual state.
    fn imbalance(&self, name: &str, way: Way, run: impl Fn(&mut World) -> f64) -> f64 {
        self.imbalance_of(name, way, 3, run)
    }

    /// Returns the same as the mean of so many pools.
    pub(super) fn imbalance_of(&self, name: &str, way: Way, seeds: u32, run: impl Fn(&mut World) -> f64) -> f64 {
        let (mut sum, mut pushes, mut seconds) = (0.0, 0, 0.0);
        for seed in 0..seeds {
            let mut world = self.warm(way, 100 + u64::from(seed));
            let (before, start) = (count_pushes(&world), world.now);
            sum += 100.0 * run(&mut world);
            pushes += count_pushes(&world) - before;
            seconds += (world.now - start) * world.replicas.iter().map(|_| 1.0).sum::<f64>();
        }
        let imbalance = sum / f64::from(seeds);
        println!("{name}, {way:?}: {imbalance:.1} %, {:.3} pushes a second", f64::from(pushes) / seconds);
        imbalance
    }

    /// Returns the imbalance by true counts, by own counts and by shared ones.
    fn compare(&self, name: &str, every: f64, run: impl Fn(&mut World) -> f64) -> [f64; 3] {
        [Way::Ideal, Way::Apart, Way::Sharing(every)].map(|way| self.imbalance(name, way, &run))
    }
}

fn count_pushes(world: &World) -> u32 {
    world.replicas.iter().map(|replica| replica.pushes).sum()
}

#[test]
fn few_long_connections_are_spread_as_by_one_balancer() {
    let pool = Pool { capacities: EQUAL, parts: THREE, live: 60.0, mean_life: LONG };
    let [ideal, apart, sharing] = pool.compare("few and long", 1.0, |world| world.run(10.0 * LONG));
    assert!(sharing <= 1.2 * ideal, "{sharing} where {ideal} is possible");
    assert!(apart >= 1.4 * ideal, "{apart} without siblings: there is nothing to gain");
}

#[test]
fn few_long_connections_are_spread_by_capacity_much_better_than_apart() {
    let pool = Pool { capacities: MIXED, parts: THREE, live: 84.0, mean_life: LONG };
    let run = |world: &mut World| world.run(10.0 * LONG);
    let [ideal, apart, sharing] = pool.compare("few and long, capacities", 1.0, run);
    pool.imbalance("few and long, capacities", Way::One, run);
    // The weights themselves place connections by capacity with an error of up to one per share.
    assert!(sharing - ideal <= 0.5 * (apart - ideal), "{sharing} between {ideal} and {apart}");
}

#[test]
fn unequal_replicas_balance_as_equal_ones() {
    let unequal = [91.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0];
    for (name, parts, live, mean_life, every) in
        [("80 and 20 %", &[0.8, 0.2][..], 60.0, LONG, 1.0), ("91 % at one of ten", &unequal, 300.0, 60.0, 0.25)]
    {
        let pool = Pool { capacities: EQUAL, parts, live, mean_life };
        let [ideal, apart, sharing] = pool.compare(name, every, |world| world.run(10.0 * mean_life));
        assert!(sharing - ideal <= 0.5 * (apart - ideal), "{name}: {sharing} between {ideal} and {apart}");
    }
}

#[test]
fn replicas_that_are_replaced_are_heard_while_they_drain() {
    let pool = Pool { capacities: EQUAL, parts: THREE, live: 60.0, mean_life: LONG };
    let [ideal, apart, sharing] = pool.compare("all three replaced", 1.0, |world| {
        for replica in 0..3 {
            world.replicas[replica].part = 0.0;
            world.add_replica(1.0);
        }
        world.run(2.0 * LONG)
    });
    assert!(sharing <= 1.25 * ideal, "{sharing} where {ideal} is possible");
    assert!(apart >= 1.5 * sharing, "{apart} without siblings");
}

#[test]
fn short_lives_and_late_counts_are_balanced_no_worse_than_apart() {
    for (name, capacities, live, mean_life) in [
        ("lives of 6 s", EQUAL, 300.0, 6.0),
        ("lives of 6 s, capacities", MIXED, 420.0, 6.0),
        ("lives of 60 s", EQUAL, 300.0, 60.0),
    ] {
        let pool = Pool { capacities, parts: THREE, live, mean_life };
        let run = |world: &mut World| world.run(20.0 * mean_life);
        let apart = pool.imbalance(name, Way::Apart, run);
        for (how, every, delay, lost_percent) in
            [("in time", 0.25, 0.0005, 0), ("late", 1.0, 0.5, 0), ("half of them lost", 0.25, 0.0005, 50)]
        {
            let sharing = pool.imbalance(&format!("{name}, {how}"), Way::Sharing(every), |world| {
                (world.exchange.delay, world.exchange.lost_percent) = (delay, lost_percent);
                run(world)
            });
            assert!(sharing <= 1.05 * apart, "{name}, {how}: {sharing} instead of {apart}");
        }
    }
}

#[test]
fn replicas_that_lose_each_other_are_no_worse_than_apart() {
    let pool = Pool { capacities: EQUAL, parts: THREE, live: 90.0, mean_life: 60.0 };
    for (name, cuts) in [
        ("one cut off", &[(0, 1), (0, 2), (1, 0), (2, 0)][..]),
        ("one deaf", &[(0, 1), (0, 2)]),
        ("one unheard", &[(1, 0), (2, 0)]),
        ("all cut off", &[(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]),
    ] {
        // In turns, so that what is measured is also the way there and back.
        let run = |world: &mut World| {
            let mut sum = 0.0;
            for _ in 0..8 {
                world.exchange.cut = cuts.iter().copied().collect();
                sum += world.run(60.0);
                world.exchange.cut.clear();
                sum += world.run(30.0) / 2.0;
            }
            sum / 12.0
        };
        let [_, apart, sharing] = pool.compare(name, 0.25, run);
        assert!(sharing <= 1.02 * apart, "{name}: {sharing} instead of {apart}");
    }
}

#[test]
fn a_balancer_that_restarts_again_and_again_disturbs_nobody() {
    let pool = Pool { capacities: EQUAL, parts: THREE, live: 90.0, mean_life: 60.0 };
    let [ideal, apart, sharing] = pool.compare("restarts every 20 s", 0.25, |world| {
        let mut sum = 0.0;
        for restart in 0..30 {
            world.restart(restart % 3, ReplicaId::new(1_000 + restart as u128));
            sum += world.run(20.0);
        }
        sum / 30.0
    });
    assert!(sharing - ideal <= 0.7 * (apart - ideal), "{sharing} between {ideal} and {apart}");
}

#[test]
fn the_connections_of_a_replica_that_is_lost_are_spread_by_the_others() {
    let pool = Pool { capacities: EQUAL, parts: THREE, live: 90.0, mean_life: 60.0 };
    let [ideal, apart, sharing] = pool.compare("one lost", 0.25, |world| {
        // It stays listed, so its last counts remain until they are old.
        world.lose(0);
        world.run(120.0)
    });
    assert!(sharing - ideal <= 0.7 * (apart - ideal), "{sharing} between {ideal} and {apart}");
}

#[test]
fn a_backend_that_comes_back_empty_is_filled_once() {
    for replicas in [3, 10] {
        let parts = vec![1.0; replicas];
        let pool = Pool { capacities: EQUAL, parts: &parts, live: 3_000.0, mean_life: 600.0 };
        let [ideal, apart, sharing] = pool.compare(&format!("herd of {replicas}"), 0.25, |world| {
            world.reset(0);
            world.run(600.0)
        });
        assert!(sharing <= apart, "{replicas} replicas: {sharing} instead of {apart}, and {ideal} is possible");
    }
}

/// A few connections beside replicas that drain: one of them makes a difference of less than a connection for each replica. A
/// plan that was pushed while the counts were old left that out, and was in force for a minute and more.
#[test]
fn each_of_few_connections_goes_to_an_emptiest_backend_once_all_replicas_are_replaced() {
    let staying = Clients { per_second: 12e-6, mean_life: 1e6, brief_percent: 0 };
    let looking_in = Clients { per_second: 50.0, mean_life: 1e6, brief_percent: 100 };
    for seed in 0..60 {
        let mut world = World::with_replicas(&[1; 3], &[1.0; 3], staying, seed);
        world.exchange.every = 0.1;
        world.run(3.0);
        world.replicas.iter_mut().for_each(|replica| replica.part = 0.0);
        world.change_clients(looking_in);
        for _ in 0..3 {
            world.add_replica(1.0);
            world.run(4.0);
        }
        world.change_clients(staying);
        world.run(1.0);
        for number in 0..12 {
            let replica = 3 + world.random.below(3);
            world.arrive_at(replica);
            world.run(2.0);
            let connections: Vec<u32> = world.backends.iter().map(|backend| backend.connections).collect();
            for replica in &world.replicas[3..] {
                let next = replica.next_pick().unwrap();
                let is_emptiest = connections.iter().min() == connections.get(next);
                assert!(is_emptiest, "seed {seed}, connection {number}: {next} is next of {connections:?}");
            }
        }
    }
}
