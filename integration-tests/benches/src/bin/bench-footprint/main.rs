//! Measures the footprint of ilb itself: memory and processor time when idle, with many backends and under changes; the time
//! from its start to its first proof; the size of its binary.
//!
//! `make bench-footprint` runs it; it writes `target/bench/footprint.json`.

mod footprint;
mod usage;

use std::{net::IpAddr, time::Duration};

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use ilb_benches::results;
use ilb_testbed::{ApiServer, Ilb, Pods, Readiness, Traefik, World, eventually_within, pod_ip};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::{
    footprint::Footprint,
    usage::{Usage, measure},
};

/// Duration of each measurement.
const WINDOW: Duration = Duration::from_secs(30);
/// Pause after which the work for earlier changes has ended.
const SETTLE_TIME: Duration = Duration::from_secs(5);
/// Number of starts that are timed.
const STARTS: usize = 10;
/// The variables that the Dockerfile of the image sets, and everything that can be switched on, but for the log of connections.
const VARIABLES: [(&str, &str); 5] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "65536"),
    ("ILB_KUBERNETES_EVENTS", "true"),
    ("ILB_POD", "ilb-0"),
    ("ILB_POD_NAMESPACE", "default"),
];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let binary = Ilb::build()?;
    let mut world = World::with(0, &VARIABLES).await?;
    let mut footprint = Footprint { binary_mb: megabytes(std::fs::metadata(binary)?.len()), ..Footprint::default() };

    create(&world.pods, 0..10).await?;
    world.wait_until_in_force(10).await?;
    footprint.idle = while_idle(&world, "idle, 10 backends").await?;
    footprint.churn = churn(&world).await?;
    for (backends, row) in [(1_000, &mut footprint.backends_1000), (10_000, &mut footprint.backends_10000)] {
        let existing = if backends == 1_000 { 10 } else { 1_000 };
        eprintln!("creating {} pods", backends - existing);
        create(&world.pods, existing..backends).await?;
        wait_until_known(&world, backends).await?;
        *row = while_idle(&world, &format!("{backends} backends")).await?;
    }
    world.ilb.terminate().await?;
    drop(world);
    footprint.connection_log = connection_log().await?;
    footprint.start_to_in_force_ms = starts().await?;
    println!("{footprint}");
    println!("written to {}", results::write("footprint", &footprint)?.display());
    Ok(())
}

/// Measures the log of connections, while nothing is logged.
async fn connection_log() -> anyhow::Result<Usage> {
    let variables: Vec<_> = VARIABLES.into_iter().chain([("ILB_CONNECTION_LOG", "true")]).collect();
    let mut world = World::with(0, &variables).await?;
    create(&world.pods, 0..10).await?;
    world.wait_until_in_force(10).await?;
    let usage = while_idle(&world, "idle, 10 backends, connection log").await?;
    world.ilb.terminate().await?;
    Ok(usage)
}

/// Converts bytes to MB.
#[allow(clippy::cast_precision_loss, reason = "a binary has gigabytes at most")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

async fn create(pods: &Pods, indices: std::ops::Range<u16>) -> anyhow::Result<()> {
    let create = |index: u16| async move {
        pods.create(&World::pod(index)).await?;
        pods.set_status(&World::pod(index), address(index), Readiness::Ready).await
    };
    stream::iter(indices).map(create).buffer_unordered(16).try_collect().await
}

/// Returns an address without a host: without clients nothing is sent to it.
fn address(index: u16) -> IpAddr {
    pod_ip(index)
}

/// Waits until ilb has `backends` backends in force. Requesting ten thousand services from Traefik would disturb it.
async fn wait_until_known(world: &World, backends: u16) -> anyhow::Result<()> {
    eventually_within(Duration::from_secs(300), "all backends are in force", async || {
        let count = world.admin.metric(r#"ilb_pool_backends{pool="default",state="ready"}"#).await?;
        anyhow::ensure!((count - f64::from(backends)).abs() < 0.5, "{count} backends are ready");
        anyhow::ensure!(world.admin.is_ok("/readyz").await?, "it is not ready");
        Ok(())
    })
    .await
}

async fn while_idle(world: &World, what: &str) -> anyhow::Result<Usage> {
    sleep(SETTLE_TIME).await;
    eprintln!("{what}: measuring for {WINDOW:?}");
    measure(world.ilb.process().id(), sleep(WINDOW)).await
}

/// Measures ten changes a second of ten pods, each of which is pushed.
async fn churn(world: &World) -> anyhow::Result<Usage> {
    eprintln!("10 changes a second: measuring for {WINDOW:?}");
    let change = async {
        let mut ticks = interval(Duration::from_millis(100));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let end = Instant::now() + WINDOW;
        let mut changes = 0_u16;
        while Instant::now() < end {
            ticks.tick().await;
            let index = changes % 10;
            let readiness = if changes / 10 % 2 == 1 { Readiness::Ready } else { Readiness::NotReady };
            world.pods.set_status(&World::pod(index), address(index), readiness).await?;
            changes += 1;
        }
        anyhow::Ok(changes)
    };
    let mut changes = Ok(0);
    let usage = measure(world.ilb.process().id(), async { changes = change.await }).await?;
    for index in 0..10 {
        world.pods.set_status(&World::pod(index), address(index), Readiness::Ready).await?;
    }
    eprintln!("{} changes in {WINDOW:?}", changes?);
    Ok(usage)
}

/// Measures the median time from the start of the process until it is ready, in ms, with 10 backends.
async fn starts() -> anyhow::Result<f64> {
    eprintln!("{STARTS} starts");
    let (api_server, traefik) = (ApiServer::start().await?, Traefik::start().await?);
    let pods = api_server.namespace("starts").await?;
    create(&pods, 0..10).await?;
    let mut world = World::from_parts(api_server, pods, traefik, &VARIABLES)?;
    world.admin.wait_until_ok("/readyz").await?;
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let started = Instant::now();
        world.ilb.kill_and_restart()?;
        while !world.admin.is_ok("/readyz").await.unwrap_or(false) {
            anyhow::ensure!(started.elapsed() < Duration::from_secs(60), "it does not become ready");
            sleep(Duration::from_millis(1)).await;
        }
        times.push(started.elapsed().as_secs_f64() * 1_000.0);
    }
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().context("nothing was measured")
}
