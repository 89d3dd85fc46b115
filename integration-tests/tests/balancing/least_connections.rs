//! New connections go to the backend with the fewest at that moment. The counts come from the kernel, so they survive a
//! restart of ilb. Round robin ignores them.

use ilb_testbed::{Crowd, ROUND_ROBIN, World, eventually};
use rustix::process::Signal;

const BACKENDS: u16 = 6;

/// A world in which each backend has had eight connections, of which some have ended.
async fn uneven_world(settings: &[(&str, &str)]) -> anyhow::Result<(World, Crowd)> {
    let world = World::with(BACKENDS, settings).await?;
    let mut crowd = Crowd::default();
    for _ in 0..8 * BACKENDS {
        crowd.join(&world.traefik).await?;
    }
    for (index, but) in [(0, 0), (1, 3), (2, 7), (3, 2), (4, 5)] {
        crowd.leave(world.address(index), but);
    }
    Ok((world, crowd))
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn every_new_connection_goes_to_a_least_loaded_backend() {
    let (world, mut crowd) = uneven_world(&[]).await.unwrap();
    crowd.wait_until_balanced(&world, BACKENDS).await.unwrap();
    // ilb is stopped, so that one plan places all connections.
    world.ilb.process().signal(Signal::STOP).unwrap();
    for _ in 0..60 {
        let before = crowd.counts(&world, BACKENDS);
        let landed = crowd.join(&world.traefik).await.unwrap();
        assert_eq!(before[&landed], *before.values().min().unwrap(), "{landed} of {before:?}");
    }
    world.ilb.process().signal(Signal::CONT).unwrap();
    crowd.wait_until_balanced(&world, BACKENDS).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_killed_and_restarted_ilb_knows_the_counts_at_its_first_push() {
    let (mut world, crowd) = uneven_world(&[]).await.unwrap();
    crowd.wait_until_balanced(&world, BACKENDS).await.unwrap();
    let updates = world.ilb.logged("Updated").unwrap().len();
    let reloads = world.traefik.reloads().await.unwrap();
    world.ilb.kill_and_restart().unwrap();
    eventually("the new ilb has pushed", async || {
        anyhow::ensure!(world.ilb.logged("Updated")?.len() > updates, "not yet");
        Ok(())
    })
    .await
    .unwrap();
    crowd.wait_until_balanced(&world, BACKENDS).await.unwrap();
    assert!(world.traefik.reloads().await.unwrap() - reloads <= 1, "a push that did not know the counts went first");
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn round_robin_is_never_pushed_for_load() {
    let world = World::with(BACKENDS, &[ROUND_ROBIN]).await.unwrap();
    let before = world.traefik.reloads().await.unwrap();
    let mut crowd = Crowd::default();
    for round in 0..20 {
        for _ in 0..BACKENDS {
            crowd.join(&world.traefik).await.unwrap();
        }
        crowd.leave(world.address(round % BACKENDS), 0);
    }
    assert_eq!(world.traefik.reloads().await.unwrap(), before);
    assert!(world.traefik.weights().await.unwrap().into_values().all(|weights| weights == [1]));
}
