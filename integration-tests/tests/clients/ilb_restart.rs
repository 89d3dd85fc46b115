//! Connections are untouched when ilb ends, by SIGTERM or by SIGKILL.

use anyhow::ensure;
use ilb_testbed::{World, eventually};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_killed_and_restarted_ilb_cuts_nothing_and_pushes_at_most_once() {
    let mut world = World::round_robin(3).await.unwrap();
    let mut connections = world.connect_to_each(3).await.unwrap();
    let (before, updates) = (world.traefik.reloads().await.unwrap(), world.ilb.logged("Updated").unwrap().len());

    world.ilb.kill_and_restart().unwrap();
    eventually("the new ilb has proved its configuration", async || {
        ensure!(world.ilb.logged("Updated")?.len() > updates, "not yet");
        Ok(())
    })
    .await
    .unwrap();
    assert!(world.traefik.reloads().await.unwrap() - before <= 1);
    for connection in &mut connections {
        connection.check_alive().await.unwrap();
    }
    assert_eq!(world.landed_on(6).await.unwrap().len(), 3);
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn sigterm_ends_ilb_and_leaves_traefik_and_all_connections_alone() {
    let mut world = World::round_robin(3).await.unwrap();
    let mut connections = world.connect_to_each(3).await.unwrap();
    let before = world.traefik.reloads().await.unwrap();

    let status = world.ilb.terminate().await.unwrap();
    assert_eq!(status.code(), Some(0));
    for connection in &mut connections {
        connection.check_alive().await.unwrap();
    }
    assert_eq!(world.landed_on(6).await.unwrap().len(), 3);
    assert_eq!(world.traefik.reloads().await.unwrap(), before);
}
