//! Measures what connections take of a pod: memory, files and processor time of Traefik and of ilb for a thousand connections.
//!
//! `make bench-sizing` runs it; it prints the table of `docs/sizing.md` and writes `target/bench/sizing.json`.

mod client;
mod report;
mod usage;

use std::{fs, future::ready, time::Duration};

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use ilb_benches::results;
use ilb_testbed::{Ilb, World, raise_file_limit};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::{
    client::Client,
    report::{Report, Row},
    usage::{Pair, Spent, Usage, usage},
};

/// Number of backends.
const BACKENDS: u16 = 4;
/// Connections that are held at a time. The figures for a thousand are from the last of these.
const HELD: usize = 4_000;
/// Duration of each measurement of processor time.
const WINDOW: Duration = Duration::from_secs(20);
/// Pause after which the work for what was before has ended.
const SETTLE_TIME: Duration = Duration::from_secs(5);
/// Connections that are opened and closed in a second, where that is measured.
const NEW_A_SECOND: usize = 200;
/// Bytes that each connection sends and receives once, where connections have moved data.
const MOVED_BYTES: usize = 256 * 1024;
/// The variables that the Dockerfile of the image sets.
const VARIABLES_OF_THE_IMAGE: [(&str, &str); 2] = [("MALLOC_ARENA_MAX", "1"), ("MALLOC_MMAP_THRESHOLD_", "65536")];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    raise_file_limit()?;
    Ilb::build()?;
    let world = World::with(BACKENDS, &VARIABLES_OF_THE_IMAGE).await?;
    let mut report = Report::new(HELD, local_ports()?);

    let empty = settled(&world).await?;
    report.add("memory without connections, MiB", empty.map(|usage| usage.mib));
    report.add("share of a core without connections, %", processor_time(&world, ready(Ok(0))).await?.percent());

    eprintln!("opening {HELD} connections");
    let mut clients: Vec<Client> = stream::iter(0..HELD)
        .map(|_| Client::connect(world.traefik.entry_point()))
        .buffer_unordered(64)
        .try_collect()
        .await?;
    let idle = settled(&world).await?;
    report.add("memory for 1000 idle connections, MiB", per_thousand(idle, empty, |usage| usage.mib));
    report.add("open files for 1000 connections", per_thousand(idle, empty, |usage| usage.files));
    let while_idle = processor_time(&world, ready(Ok(0))).await?.percent();
    report.add("share of a core for 1000 idle connections, %", while_idle.map(thousandth_of_held));

    let used = processor_time(&world, exchange_each_second(&mut clients)).await?;
    report.add("processor time for 1000 requests of 64 bytes with their answers, ms", used.for_a_thousand());

    eprintln!("each connection moves {MOVED_BYTES} bytes");
    stream::iter(&mut clients)
        .map(|client| client.exchange(MOVED_BYTES))
        .buffer_unordered(64)
        .try_collect::<()>()
        .await?;
    let moved = settled(&world).await?;
    let row = "memory for 1000 connections that have moved 256 KiB each way, MiB";
    report.add(row, per_thousand(moved, empty, |usage| usage.mib));

    drop(clients);
    settled(&world).await?;
    let opened = processor_time(&world, open_and_close(&world)).await?;
    report.add("processor time for 1000 new connections, ms", opened.for_a_thousand());

    println!("{report}");
    println!("written to {}", results::write("sizing", &report)?.display());
    Ok(())
}

/// Waits, and returns what Traefik and ilb use.
async fn settled(world: &World) -> anyhow::Result<Pair<Usage>> {
    sleep(SETTLE_TIME).await;
    usage(world)
}

/// Measures processor time while `something` happens, for the whole window. It returns how often it happened.
async fn processor_time(
    world: &World,
    something: impl Future<Output = anyhow::Result<usize>>,
) -> anyhow::Result<Spent> {
    let (before, begun) = (usage(world)?, Instant::now());
    let happened = something.await?;
    sleep((begun + WINDOW).saturating_duration_since(Instant::now())).await;
    let elapsed = begun.elapsed();
    Ok(Spent { seconds: usage(world)?.minus(before, |usage| usage.cpu_seconds), elapsed, happened })
}

/// Lets each connection send a line and wait for its echo once a second.
async fn exchange_each_second(clients: &mut [Client]) -> anyhow::Result<usize> {
    const SLICES: usize = 100;
    eprintln!("a request a second on each connection");
    let slice = clients.len().div_ceil(SLICES);
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(SLICES)?);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = Instant::now() + WINDOW;
    let mut requests = 0;
    while Instant::now() < end {
        for clients in clients.chunks_mut(slice) {
            ticks.tick().await;
            requests += clients.len();
            let exchanges = stream::iter(clients).map(|client| client.exchange(64));
            exchanges.buffer_unordered(slice).try_collect::<()>().await?;
        }
    }
    Ok(requests)
}

/// Opens connections at an even rate, and closes each after its first answer.
async fn open_and_close(world: &World) -> anyhow::Result<usize> {
    eprintln!("{NEW_A_SECOND} new connections a second");
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(NEW_A_SECOND)?);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = Instant::now() + WINDOW;
    let mut opened = 0;
    while Instant::now() < end {
        ticks.tick().await;
        Client::connect(world.traefik.entry_point()).await?.exchange(64).await?;
        opened += 1;
    }
    Ok(opened)
}

/// Returns by how much more there is for a thousand connections.
fn per_thousand(with: Pair<Usage>, without: Pair<Usage>, of: impl Fn(Usage) -> f64) -> Row {
    with.minus(without, of).map(thousandth_of_held)
}

/// Returns the share of a thousand connections in a figure for all that are held.
#[allow(clippy::cast_precision_loss, reason = "a few thousand connections")]
fn thousandth_of_held(figure: f64) -> f64 {
    figure * 1000.0 / HELD as f64
}

/// Returns how many local ports the kernel gives for connections to one address and port.
fn local_ports() -> anyhow::Result<u32> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")?;
    let (first, last) = range.trim().split_once(char::is_whitespace).context("no range of ports")?;
    Ok(last.trim().parse::<u32>()? - first.parse::<u32>()? + 1)
}
