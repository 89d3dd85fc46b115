//! ilb ends when it is asked to, whatever it is doing: in less than a second, and at once when it is asked twice.
#![allow(clippy::unwrap_used, reason = "helpers of tests are not marked as tests")]

use std::time::{Duration, Instant};

use anyhow::ensure;
use ilb_testbed::{ApiServer, Signal, Traefik, World, eventually};

/// What the product promises for the first signal.
const SOON: Duration = Duration::from_secs(1);

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn sigterm_ends_ilb_within_a_second_while_a_push_hangs() {
    let mut world = World::start(1).await.unwrap();
    world.traefik.process().unwrap().signal(Signal::STOP).unwrap();
    world.add_pod(1).await.unwrap();
    eventually("a push is under way", async || {
        let status = world.admin.status().await?;
        ensure!(status["traefik"]["state"] == "updating" || status["traefik"]["circuit"] == "half-open", "{status}");
        Ok(())
    })
    .await
    .unwrap();

    ends_soon(&mut world).await;
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn sigterm_ends_ilb_within_a_second_while_nobody_answers_at_the_start() {
    let (mut api_server, mut traefik) = (ApiServer::start().await.unwrap(), Traefik::start().await.unwrap());
    let pods = api_server.namespace("backends").await.unwrap();
    api_server.kill().unwrap();
    traefik.kill().unwrap();
    let mut world = World::of(api_server, pods, traefik, &[]).unwrap();
    world.ilb.wait_for_log("Starting").await.unwrap();

    ends_soon(&mut world).await;
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_second_signal_ends_ilb_at_once() {
    let mut world = World::start(1).await.unwrap();
    // It cannot do anything about the first one before the second one is there.
    for signal in [Signal::STOP, Signal::TERM, Signal::INT, Signal::CONT] {
        world.ilb.signal(signal).unwrap();
    }
    let status = world.ilb.end().await.unwrap();
    assert!([Some(130), Some(143)].contains(&status.code()), "{status}");
    assert!(world.ilb.output().unwrap().lines().all(|line| !line.contains("Stopping")));
}

async fn ends_soon(world: &mut World) {
    let asked = Instant::now();
    let status = world.ilb.terminate().await.unwrap();
    let took = asked.elapsed();
    assert_eq!(status.code(), Some(0));
    assert!(took < SOON, "{took:?}");
}
