//! Measures what counting costs while connections come and go, by announcements and by reading the whole table.
//!
//! The clients behave as behind a proxy that balances by least connections: each connection goes to the backend with the
//! fewest. A sample is taken every 50 ms. The figures are the processor time per sample and the share of a core, and the
//! share of the samples that are exact. One scenario has 50 000 sockets of other network namespaces of the node, which
//! share the kernel's table; it needs `unshare` and `ip`, and the right to use them. The last one closes 10 000
//! connections a second. The figures go to standard output and to `target/bench/counting.json`.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt::Write as _,
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use ilb_connections::{ConnectionSource, KernelConnections, Options};

const PORT: u16 = 7788;
const BACKENDS: u8 = 10;
const SAMPLE_PERIOD: Duration = Duration::from_millis(50);
/// Number of processes that hold sockets of other namespaces, and connections of each. Each connection has two sockets.
const NEIGHBOURS: usize = 5;
const CONNECTIONS_PER_NEIGHBOUR: usize = 5_000;

struct Scenario {
    name: &'static str,
    connections: usize,
    /// Time between two changes: a connection is closed, and another one opened.
    change_period: Duration,
    has_neighbours: bool,
}

const SCENARIOS: [Scenario; 4] = [
    Scenario {
        name: "300 connections of 6 s",
        connections: 300,
        change_period: Duration::from_millis(20),
        has_neighbours: false,
    },
    Scenario {
        name: "8000 connections of an hour",
        connections: 8_000,
        change_period: Duration::from_millis(450),
        has_neighbours: false,
    },
    Scenario {
        name: "300 connections of 6 s, 50000 sockets of others",
        connections: 300,
        change_period: Duration::from_millis(20),
        has_neighbours: true,
    },
    Scenario {
        name: "10000 closed a second",
        connections: 300,
        change_period: Duration::from_micros(100),
        has_neighbours: false,
    },
];

fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().collect();
    if arguments.get(1).is_some_and(|mode| mode == "hold") {
        return hold();
    }
    let quick = arguments.iter().any(|a| a == "--test"); // `cargo test --benches`
    let (scenarios, duration) =
        if quick { (&SCENARIOS[..1], Duration::from_secs(1)) } else { (&SCENARIOS[..], Duration::from_secs(20)) };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let mut measured = Vec::new();
    for scenario in scenarios {
        let _neighbours = match scenario.has_neighbours.then(Neighbour::start_all).transpose() {
            Ok(neighbours) => neighbours,
            Err(error) => {
                println!("{}: left out: {error:#}", scenario.name);
                continue;
            }
        };
        for options in [Options::default(), Options::default().with_whole_table()] {
            let clients = Clients::start(scenario)?;
            let figures = runtime.block_on(measure(scenario, options, duration, &clients))?;
            println!("{figures}");
            measured.push(figures);
        }
    }
    write_json(&measured)
}

struct Figures {
    scenario: &'static str,
    method: String,
    samples: u32,
    per_sample: Duration,
    core_percent: f64,
    exact_percent: f64,
    changes: u64,
    closed: u64,
}

async fn measure(
    scenario: &Scenario,
    options: Options,
    duration: Duration,
    clients: &Clients,
) -> anyhow::Result<Figures> {
    let connections = KernelConnections::start(options).await?;
    connections.sample(&clients.backends).await?;
    let warm_up = Instant::now() + duration / 10;
    while Instant::now() < warm_up {
        tokio::time::sleep(SAMPLE_PERIOD).await;
        connections.sample(&clients.backends).await?;
    }
    let (started, changes_before) = (Instant::now(), clients.changes());
    let (mut samples, mut cost, mut exact, mut closed) = (0, Duration::ZERO, 0u32, 0);
    while started.elapsed() < duration {
        tokio::time::sleep(SAMPLE_PERIOD).await;
        let before = clients.counts();
        let sample = connections.sample(&clients.backends).await?;
        let after = clients.counts();
        samples += 1;
        cost += sample.cost();
        closed += sample.iter().map(|(_, load)| u64::from(load.closed)).sum::<u64>();
        // What changed while the sample was taken may be counted or not.
        let is_exact = clients.backends.iter().all(|backend| {
            let range = before[backend].min(after[backend])..=before[backend].max(after[backend]);
            range.contains(&sample.get(*backend).connections())
        });
        exact += u32::from(is_exact);
    }
    let elapsed = started.elapsed();
    Ok(Figures {
        scenario: scenario.name,
        method: connections.method().to_string(),
        samples,
        per_sample: cost / samples,
        core_percent: 100.0 * cost.as_secs_f64() / elapsed.as_secs_f64(),
        exact_percent: 100.0 * f64::from(exact) / f64::from(samples),
        changes: clients.changes() - changes_before,
        closed,
    })
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { scenario, method, samples, per_sample, core_percent, exact_percent, changes, closed } = self;
        write!(
            f,
            "{scenario:<48} {method:<22} {per_sample:>10.1?} per sample, {core_percent:>6.3} % of a core, \
             {exact_percent:>5.1} % of {samples} samples exact, {closed} of {changes} closings counted"
        )
    }
}

/// Clients that connect to the backends all the time.
struct Clients {
    backends: BTreeSet<SocketAddr>,
    state: Arc<Mutex<State>>,
    stop: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    counts: BTreeMap<SocketAddr, u32>,
    changes: u64,
}

impl Clients {
    fn start(scenario: &Scenario) -> anyhow::Result<Self> {
        let listeners: Vec<TcpListener> = (1..=BACKENDS)
            .map(|host| TcpListener::bind(SocketAddr::from(([127, 0, 79, host], PORT))))
            .collect::<Result<_, _>>()
            .context("cannot listen")?;
        let backends: BTreeSet<SocketAddr> = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
        let state = State { counts: backends.iter().map(|backend| (*backend, 0)).collect(), changes: 0 };
        let (state, stop) = (Arc::new(Mutex::new(state)), Arc::new(AtomicBool::new(false)));
        let mut live = VecDeque::new();
        for _ in 0..scenario.connections {
            live.push_back(open(&listeners, &state)?);
        }
        let (shared, stopped, period) = (Arc::clone(&state), Arc::clone(&stop), scenario.change_period);
        let thread = thread::spawn(move || {
            let mut next = Instant::now();
            while !stopped.load(Ordering::Relaxed) {
                next += period;
                thread::sleep(next.saturating_duration_since(Instant::now()));
                close(&mut live, &shared);
                if let Ok(connection) = open(&listeners, &shared) {
                    live.push_back(connection);
                }
            }
        });
        Ok(Self { backends, state, stop, thread: Some(thread) })
    }

    fn counts(&self) -> BTreeMap<SocketAddr, u32> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).counts.clone()
    }

    fn changes(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).changes
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Both ends of a connection, and its backend.
type Connection = (TcpStream, TcpStream, SocketAddr);

/// Opens a connection to the backend with the fewest.
fn open(listeners: &[TcpListener], state: &Mutex<State>) -> anyhow::Result<Connection> {
    let counts = state.lock().unwrap_or_else(PoisonError::into_inner).counts.clone();
    let (listener, backend) = listeners
        .iter()
        .map(|listener| Ok((listener, listener.local_addr()?)))
        .collect::<std::io::Result<Vec<_>>>()?
        .into_iter()
        .min_by_key(|(_, backend)| counts[backend])
        .context("there is no backend")?;
    let ours = TcpStream::connect(backend)?;
    *state.lock().unwrap_or_else(PoisonError::into_inner).counts.entry(backend).or_default() += 1;
    Ok((ours, listener.accept()?.0, backend))
}

/// Closes the oldest connection, by its client or its backend in turn.
fn close(live: &mut VecDeque<Connection>, state: &Mutex<State>) {
    let Some((ours, theirs, backend)) = live.pop_front() else { return };
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    if state.changes.is_multiple_of(2) {
        drop(ours);
        drop(theirs);
    } else {
        drop(theirs);
        drop(ours);
    }
    *state.counts.entry(backend).or_default() -= 1;
    state.changes += 1;
}

/// A child process in a network namespace of its own that holds connections, and exits when its standard input closes.
struct Neighbour(Child);

impl Neighbour {
    fn start_all() -> anyhow::Result<Vec<Self>> {
        (0..NEIGHBOURS).map(|_| Self::start()).collect()
    }

    fn start() -> anyhow::Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--net", "sh", "-c", "ip link set lo up && exec \"$0\" hold"]);
        command.arg(std::env::current_exe()?).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut neighbour = Self(command.spawn().context("cannot start unshare")?);
        let output = neighbour.0.stdout.take().context("a child process has no standard output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line.trim() == "ready", "a child process could not hold connections in a namespace of its own");
        Ok(neighbour)
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn hold() -> anyhow::Result<()> {
    let mut sockets = Vec::new();
    for host in 1..=5 {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 79, host], PORT)))?;
        for _ in 0..CONNECTIONS_PER_NEIGHBOUR / 5 {
            sockets.push((TcpStream::connect(listener.local_addr()?)?, listener.accept()?.0));
        }
    }
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn write_json(measured: &[Figures]) -> anyhow::Result<()> {
    let mut json = String::from("{");
    for (i, figures) in measured.iter().enumerate() {
        let comma = if i == 0 { "" } else { "," };
        write!(
            json,
            "{comma}\n  \"{}, {}\": {{\"us_per_sample\": {}, \"core_percent\": {:.3}, \"exact_percent\": {:.1}, \"changes\": {}, \"closed\": {}}}",
            figures.scenario,
            figures.method,
            figures.per_sample.as_micros(),
            figures.core_percent,
            figures.exact_percent,
            figures.changes,
            figures.closed,
        )?;
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/bench");
    std::fs::create_dir_all(folder)?;
    std::fs::write(format!("{folder}/counting.json"), json + "\n}\n").context("cannot write the figures")
}
