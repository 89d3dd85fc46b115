//! Measures time and allocations per reading of the whole table with 1 000, 10 000 and 100 000 outgoing connections.
//!
//! The connections are real, over loopback, 1 000 to each backend. Both ends of each are in the same socket table, as
//! the connections of clients are in a pod, so the table has twice as many sockets. The bar is 1.5 µs of processor time
//! per socket of the table, of which the kernel's walk alone takes 0.9 µs. The figures go to standard output and to
//! `target/bench/connections.json`. A run leaves closed sockets in the table for a minute, which slow down the next
//! run.

use std::{
    alloc::System,
    collections::BTreeSet,
    fmt::Write as _,
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use ilb_connections::{ConnectionSource, KernelConnections, Options};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CONNECTIONS_PER_BACKEND: usize = 1_000;
/// Number of backends whose connections one process holds. Few systems let a process open more than 20 000 files, and
/// each connection takes two.
const BACKENDS_PER_HOLDER: usize = 5;
/// Maximum processor time per socket of the table.
const MAX_TIME_PER_SOCKET: Duration = Duration::from_nanos(1_500);
const SAMPLES_PER_SIZE: usize = 15;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().collect();
    if let [_, mode, first, count] = arguments.as_slice()
        && mode == "hold"
    {
        return hold(first.parse()?, count.parse()?);
    }
    let quick = arguments.iter().any(|a| a == "--test"); // `cargo test --benches`
    let sizes: &[usize] = if quick { &[1_000] } else { &[1_000, 10_000, 100_000] };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut holders = Vec::new();
    let mut backends = BTreeSet::new();
    let mut measured = Vec::new();
    for size in sizes {
        while backends.len() * CONNECTIONS_PER_BACKEND < *size {
            let missing = size / CONNECTIONS_PER_BACKEND - backends.len();
            let holder = Holder::start(backends.len() + 1, missing.min(BACKENDS_PER_HOLDER))?;
            backends.extend(&holder.backends);
            holders.push(holder);
        }
        measured.push(runtime.block_on(measure(*size, &backends))?);
    }
    write_json(&measured)
}

/// A child process that holds both ends of connections, and exits when its standard input closes.
struct Holder {
    backends: Vec<SocketAddr>,
    process: Child,
}

impl Holder {
    fn start(first: usize, count: usize) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["hold", &first.to_string(), &count.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let lines = BufReader::new(process.stdout.take().context("a child process has no standard output")?)
            .lines()
            .take(count);
        let backends = lines.map(|line| Ok(line?.parse()?)).collect::<anyhow::Result<Vec<_>>>()?;
        ensure!(backends.len() == count, "a child process that holds connections exited early");
        Ok(Self { backends, process })
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

fn hold(first: u8, count: u8) -> anyhow::Result<()> {
    let mut sockets = Vec::new();
    for host in first..first + count {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 77, host], 0)))?;
        let address = listener.local_addr()?;
        for _ in 0..CONNECTIONS_PER_BACKEND {
            sockets.push((TcpStream::connect(address)?, listener.accept()?.0));
        }
        println!("{address}");
    }
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

struct Figures {
    /// Number of connections; the table has twice as many sockets.
    connections: usize,
    processor: Duration,
    wall: Duration,
    allocations: usize,
    allocated: usize,
}

async fn measure(connections: usize, backends: &BTreeSet<SocketAddr>) -> anyhow::Result<Figures> {
    let source = KernelConnections::start(Options::default().with_whole_table()).await?;
    source.sample(backends).await?; // the first sample sees every connection for the first time
    let mut rounds = Vec::new();
    for _ in 0..SAMPLES_PER_SIZE {
        let (region, started) = (Region::new(ALLOCATOR), Instant::now());
        let sample = source.sample(backends).await?;
        let (wall, change) = (started.elapsed(), region.change());
        let seen: u32 = sample.iter().map(|(_, load)| load.established).sum();
        ensure!(usize::try_from(seen)? == connections, "{seen} of {connections} connections were counted");
        rounds.push((sample.cost(), wall, change.allocations, change.bytes_allocated));
    }
    rounds.sort();
    let (processor, wall, allocations, allocated) = rounds[SAMPLES_PER_SIZE / 2];
    let figures = Figures { connections, processor, wall, allocations, allocated };
    let each = figures.per_socket();
    let verdict = if each <= MAX_TIME_PER_SOCKET { "within" } else { "above" };
    println!(
        "{connections:>7} connections: {processor:>10.1?} processor, {wall:>10.1?} wall, {} ns per socket \
         ({verdict} the bar of {MAX_TIME_PER_SOCKET:?}), {allocations} allocations of {allocated} bytes",
        each.as_nanos()
    );
    Ok(figures)
}

impl Figures {
    fn per_socket(&self) -> Duration {
        self.processor / u32::try_from(2 * self.connections).unwrap_or(u32::MAX)
    }
}

fn write_json(measured: &[Figures]) -> anyhow::Result<()> {
    let mut json = String::from("{");
    for (i, r) in measured.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(
            json,
            "{comma}\n  \"{}\": {{\"processor_us\": {}, \"wall_us\": {}, \"ns_per_socket\": {}, \"allocations\": {}, \"allocated_bytes\": {}}}",
            r.connections,
            r.processor.as_micros(),
            r.wall.as_micros(),
            r.per_socket().as_nanos(),
            r.allocations,
            r.allocated
        )?;
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench");
    std::fs::create_dir_all(folder)?;
    std::fs::write(format!("{folder}/connections.json"), json + "\n}\n").context("cannot write the figures")
}
