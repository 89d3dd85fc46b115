//! Short connections beside the long ones take none of the places that are meant for the clients that come back.

use super::{placement::Placement, world::World, *};

/// Returns how many connections are closed until 300 on five backends are level on six.
fn closings(short_per_second: u64, push_time: Duration) -> (usize, BTreeMap<SocketAddr, usize>) {
    let rebalance =
        Rebalance { stop_at_percent: 1, start_above_percent: 10, rate_permille: 200, ..Rebalance::default() };
    let policy = ClosingPolicy {
        rebalance: Some(rebalance),
        settle: Settle(2 * SECOND),
        budget: HourlyBudget(1_000),
        ..ClosingPolicy::default()
    };
    let mut world = World::new(policy, &[60; 5]);
    let mut placement = Placement::new(world.now);
    (placement.short_per_second, placement.push_time) = (short_per_second, push_time);
    world.place_by(placement);
    world.behaviour.returns = Some((1, 10));
    world.run(5 * SECOND);
    assert!(world.closings.is_empty());
    world.scale_out(6);
    world.run(2 * MINUTE);
    (world.closings.len(), world.counts())
}

#[test]
fn short_connections_cause_no_more_closings() {
    for push_millis in [5, 20, 50] {
        for short_per_second in [0, 10, 100] {
            let (closings, counts) = closings(short_per_second, push_millis * MS);
            let case = format!("{short_per_second} short ones a second, {push_millis} ms for a push: {counts:?}");
            assert!(counts.values().all(|count| *count <= 52), "{case}");
            assert!(closings <= 50, "{closings} closings with {case}");
        }
    }
}

#[test]
fn where_they_take_all_places_only_some_are_closed_in_vain() {
    for push_millis in [5, 50] {
        let (closings, counts) = closings(500, push_millis * MS);
        assert!(closings <= 100, "{closings} closings within 2 minutes, {push_millis} ms for a push: {counts:?}");
    }
}
