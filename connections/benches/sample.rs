//! What one sample costs with 1 000, 10 000 and 100 000 outgoing connections: time and allocations.
//!
//! The connections are real, over loopback, 1 000 to each backend; so each has its other end in the same table, as a
//! client's connection would be in a pod. The bar is 1.5 µs per connection. Numbers go to standard output and to
//! `target/bench/connections.json`.

use std::{
    alloc::System,
    collections::BTreeSet,
    fmt::Write,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::Context;
use ilb_connections::{ConnectionSource, KernelConnections, Options};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::net::{TcpListener, TcpStream};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PER_BACKEND: usize = 1_000;
const BAR: Duration = Duration::from_nanos(1_500);
const ROUNDS: usize = 15;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let quick = std::env::args().any(|a| a == "--test"); // `cargo test --benches`
    let sizes: &[usize] = if quick { &[1_000] } else { &[1_000, 10_000, 100_000] };
    let mut sockets = Vec::new();
    let mut backends = BTreeSet::new();
    let mut results = Vec::new();
    for size in sizes {
        let files = 2 * u64::try_from(*size)? + 1_000;
        if let Err(error) = allow_files(files) {
            println!("{size} connections: left out, {files} open files are not allowed here ({error})");
            continue;
        }
        while sockets.len() < *size {
            let host = u8::try_from(backends.len() + 1).context("too many backends")?;
            backends.insert(fill([127, 0, 77, host], &mut sockets).await?);
        }
        results.push(measure(*size, &backends).await?);
    }
    write(&results)
}

struct Result {
    connections: usize,
    processor: Duration,
    wall: Duration,
    allocations: usize,
    allocated: usize,
}

async fn fill(ip: [u8; 4], sockets: &mut Vec<(TcpStream, TcpStream)>) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(SocketAddr::from((ip, 0))).await?;
    let address = listener.local_addr()?;
    for _ in 0..PER_BACKEND {
        let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
        sockets.push((ours?, theirs?.0));
    }
    Ok(address)
}

async fn measure(connections: usize, backends: &BTreeSet<SocketAddr>) -> anyhow::Result<Result> {
    let source = KernelConnections::start(Options::default()).await?;
    source.sample(backends).await?; // the first one has every connection to get to know
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let (region, started) = (Region::new(ALLOCATOR), Instant::now());
        let sample = source.sample(backends).await?;
        let (wall, change) = (started.elapsed(), region.change());
        let seen: u32 = sample.iter().map(|(_, load)| load.established).sum();
        anyhow::ensure!(usize::try_from(seen)? == connections, "{seen} of {connections} were seen");
        rounds.push((sample.cost(), wall, change.allocations, change.bytes_allocated));
    }
    rounds.sort();
    let (processor, wall, allocations, allocated) = rounds[ROUNDS / 2];
    let result = Result { connections, processor, wall, allocations, allocated };
    let each = result.each();
    let verdict = if each <= BAR { "within" } else { "beyond" };
    println!(
        "{connections:>7} connections: {processor:>10.1?} processor, {wall:>10.1?} wall, {each:>5.0?} each \
         ({verdict} {BAR:?}), {allocations} allocations of {allocated} bytes"
    );
    Ok(result)
}

impl Result {
    fn each(&self) -> Duration {
        self.processor / u32::try_from(self.connections).unwrap_or(u32::MAX)
    }
}

fn allow_files(files: u64) -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < files) {
        let maximum = limit.maximum.map(|maximum| maximum.max(files));
        setrlimit(Resource::Nofile, Rlimit { current: Some(files), maximum })?;
    }
    Ok(())
}

fn write(results: &[Result]) -> anyhow::Result<()> {
    let mut json = String::from("{");
    for (i, r) in results.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(
            json,
            "{comma}\n  \"{}\": {{\"processor_us\": {}, \"wall_us\": {}, \"ns_per_connection\": {}, \"allocations\": {}, \"allocated_bytes\": {}}}",
            r.connections,
            r.processor.as_micros(),
            r.wall.as_micros(),
            r.each().as_nanos(),
            r.allocations,
            r.allocated
        )?;
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench");
    std::fs::create_dir_all(folder)?;
    std::fs::write(format!("{folder}/connections.json"), json + "\n}\n").context("writing the numbers")
}
