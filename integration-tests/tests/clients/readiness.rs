//! A pod that becomes Ready gets new connections. One that stops being Ready, is deleted or loses its label gets no more,
//! and its connections live on.

use std::collections::HashSet;

use ilb_testbed::{Behaviour, Connection, Readiness, World};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_pod_that_becomes_ready_takes_new_connections() {
    let mut world = World::round_robin(2).await.unwrap();
    world.pods.create(&World::pod(2)).await.unwrap();
    world.add_backend(2, Behaviour::Echo).await.unwrap();
    world.set_pod(2, Readiness::NotReady).await.unwrap();
    assert_eq!(world.landed_on(6).await.unwrap(), HashSet::from([world.address(0), world.address(1)]));

    world.set_pod(2, Readiness::Ready).await.unwrap();
    world.wait_until_in_force(3).await.unwrap();
    assert_eq!(world.landed_on(6).await.unwrap(), (0..3).map(|i| world.address(i)).collect());
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_pod_that_is_not_ready_any_more_gets_no_new_connection_and_keeps_its_old_ones() {
    let world = World::round_robin(3).await.unwrap();
    let old = world.connect_to_each(3).await.unwrap();
    world.set_pod(1, Readiness::NotReady).await.unwrap();
    the_others_take_over(&world, old).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_deleted_pod_gets_no_new_connection_and_keeps_its_old_ones() {
    let world = World::round_robin(3).await.unwrap();
    let old = world.connect_to_each(3).await.unwrap();
    world.pods.delete(&World::pod(1)).await.unwrap();
    the_others_take_over(&world, old).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_pod_that_vanishes_gets_no_new_connection_and_keeps_its_old_ones() {
    let world = World::round_robin(3).await.unwrap();
    let old = world.connect_to_each(3).await.unwrap();
    world.pods.remove(&World::pod(1)).await.unwrap();
    the_others_take_over(&world, old).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_pod_that_loses_its_label_gets_no_new_connection_and_keeps_its_old_ones() {
    let world = World::round_robin(3).await.unwrap();
    let old = world.connect_to_each(3).await.unwrap();
    world.pods.label(&World::pod(1), [("app", None)].into()).await.unwrap();
    the_others_take_over(&world, old).await.unwrap();
}

/// Checks that new connections go to pods 0 and 2 only, and that the old ones, one of which goes to pod 1, still carry
/// bytes.
async fn the_others_take_over(world: &World, old: Vec<Connection>) -> anyhow::Result<()> {
    world.wait_until_in_force(2).await?;
    assert_eq!(world.landed_on(10).await?, HashSet::from([world.address(0), world.address(2)]));
    assert!(old.iter().any(|c| c.backend() == world.address(1)));
    for mut connection in old {
        connection.check_alive().await?;
    }
    Ok(())
}
