//! ilb exits within a second after SIGTERM, whatever it is doing, and at once after a second signal.

use std::time::{Duration, Instant};

use anyhow::ensure;
use ilb_testbed::{ApiServer, Signal, Traefik, World, eventually};

/// Longest time between the first signal and the exit.
const EXIT_LIMIT: Duration = Duration::from_secs(1);

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn sigterm_ends_ilb_within_a_second_while_a_push_hangs() {
    let mut world = World::start(1).await.unwrap();
    world.traefik.process().unwrap().signal(Signal::STOP).unwrap();
    world.add_pod(1).await.unwrap();
    eventually("a push is under way", async || {
        let status = world.admin.status().await?;
        ensure!(status["traefik"]["state"] == "updating" || status["traefik"]["push_state"] == "retrying", "{status}");
        Ok(())
    })
    .await
    .unwrap();

    exits_soon(&mut world).await;
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn sigterm_ends_ilb_within_a_second_while_no_peer_answers_at_the_start() {
    let (mut api_server, mut traefik) = (ApiServer::start().await.unwrap(), Traefik::start().await.unwrap());
    let pods = api_server.namespace("backends").await.unwrap();
    api_server.kill().unwrap();
    traefik.kill().unwrap();
    let mut world = World::from_parts(api_server, pods, traefik, &[]).unwrap();
    world.ilb.wait_for_log("Starting").await.unwrap();

    exits_soon(&mut world).await;
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_second_signal_ends_ilb_at_once() {
    let mut world = World::start(1).await.unwrap();
    // A stopped process handles the first signal only after the second one has been sent.
    for signal in [Signal::STOP, Signal::TERM, Signal::INT, Signal::CONT] {
        world.ilb.signal(signal).unwrap();
    }
    let status = world.ilb.end().await.unwrap();
    assert!([Some(130), Some(143)].contains(&status.code()), "{status}");
    assert!(world.ilb.output().unwrap().lines().all(|line| !line.contains("Stopping")));
}

async fn exits_soon(world: &mut World) {
    let asked = Instant::now();
    let status = world.ilb.terminate().await.unwrap();
    let took = asked.elapsed();
    assert_eq!(status.code(), Some(0));
    let last = world.ilb.logged("Stopping: Traefik and all connections stay as they are").unwrap();
    assert_eq!(last.len(), 1, "the last line comes out");
    assert!(took < EXIT_LIMIT, "{took:?}");
}
