//! Few connections at the pace of `make bench-balance`, whose figures stand beside these.

use super::{
    sharing::{Pool, Way},
    *,
};

const EQUAL: &[u8] = &[1; 10];
/// Mean life of a connection in the bench, in seconds.
const LIFE: f64 = 60.0;
/// Time that the bench measures, in seconds.
const MEASURED: f64 = 120.0;
/// Time between two questions, in seconds.
const EVERY: f64 = 0.25;

/// Returns the imbalance as of one balancer, of replicas that do not share, and of replicas that do.
fn compare(name: &str, parts: &[f64], run: impl Fn(&mut World)) -> [f64; 3] {
    let pool = Pool { capacities: EQUAL, parts, live: 60.0, mean_life: LIFE };
    [Way::Ideal, Way::Apart, Way::Sharing(EVERY)].map(|way| {
        pool.imbalance_of(name, way, 12, |world| {
            run(world);
            world.run(MEASURED)
        })
    })
}

#[test]
fn three_replicas_are_about_as_even_as_one_balancer() {
    let [ideal, apart, sharing] = compare("three-replicas-few", &[1.0; 3], |_| {});
    assert!(sharing <= 1.2 * ideal, "{sharing} where {ideal} is possible");
    assert!(apart >= 1.4 * sharing, "{apart} without siblings");
}

#[test]
fn replicas_that_are_replaced_are_about_as_even_as_one_balancer() {
    let [ideal, apart, sharing] = compare("replica-drain", &[1.0; 3], |world| {
        for replica in 0..3 {
            world.replicas[replica].part = 0.0;
            world.add_replica(1.0);
        }
    });
    assert!(sharing <= 1.2 * ideal, "{sharing} where {ideal} is possible");
    assert!(apart >= 1.4 * sharing, "{apart} without siblings");
}

#[test]
fn a_replica_that_joins_disturbs_nobody() {
    let [ideal, _, sharing] = compare("replica-joins", &[1.0; 2], |world| world.add_replica(1.0));
    assert!(sharing <= 1.2 * ideal, "{sharing} where {ideal} is possible");
}

#[test]
fn unequal_replicas_and_one_that_is_cut_off_are_no_worse_than_apart() {
    let [_, apart, sharing] = compare("unequal-replicas", &[0.8, 0.1, 0.1], |_| {});
    assert!(sharing <= apart, "{sharing}, and {apart} without siblings");
    let [_, apart, sharing] = compare("sibling-cut-off", &[1.0; 3], |world| {
        world.exchange.cut = [(0, 2), (1, 2), (2, 0), (2, 1)].into();
    });
    assert!(sharing <= apart, "{sharing}, and {apart} without siblings");
}
