//! Clients that stay connected and work.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use ilb_benches::random::Random;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    select,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};

use crate::{
    age::AgeLimit,
    backend::{self, Arrived, RESPONSE},
    measurement::Tally,
    scenario::Case,
    workload::Workload,
};

/// Clients, each of which holds a connection, works, and connects again whenever its connection ends.
#[derive(Debug)]
pub(crate) struct Clients {
    case: Case,
    entry: SocketAddr,
    backends: Vec<SocketAddr>,
    arrived: Arc<Arrived>,
    limit: Option<AgeLimit>,
    requests: AtomicU64,
    known: Mutex<Known>,
}

/// The end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) client: usize,
    pub(crate) workload: Workload,
    pub(crate) at: Instant,
}

#[derive(Debug, Default)]
struct Known {
    /// Number of connections of each backend.
    connections: Vec<usize>,
    ends: Vec<End>,
    /// Number of requests, by workload.
    requests: BTreeMap<Workload, u64>,
    unanswered: Vec<(Workload, u64)>,
}

/// Time between two clients that connect for the first time.
const ARRIVAL_INTERVAL: Duration = Duration::from_millis(2);
/// Time until a client that could not connect tries again.
const RETRY_TIME: Duration = Duration::from_millis(10);

impl Clients {
    /// Creates the clients of a case, which connect to `entry` and whose connections are ended at the `limit`.
    pub(crate) fn new(case: Case, entry: SocketAddr, arrived: Arc<Arrived>, limit: Option<AgeLimit>) -> Self {
        let known = Known { connections: vec![0; case.scenario.after], ..Known::default() };
        Self {
            case,
            entry,
            backends: (0..case.scenario.after).map(backend::address).collect(),
            arrived,
            limit,
            requests: AtomicU64::new(0),
            known: Mutex::new(known),
        }
    }

    /// Returns the case whose clients these are.
    pub(crate) fn case(&self) -> &Case {
        &self.case
    }

    /// Lets the clients connect one after the other, and work until this is dropped.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut arrivals = interval(ARRIVAL_INTERVAL);
        arrivals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut clients = JoinSet::new();
        for number in 0..self.case.scenario.clients {
            arrivals.tick().await;
            clients.spawn(Arc::clone(&self).stay(number));
        }
        clients.join_all().await;
    }

    /// Returns the connections of the fullest of the first `backends` backends, relative to their mean; `None` unless all
    /// clients are connected.
    #[allow(clippy::cast_precision_loss, reason = "there are few clients")]
    pub(crate) fn fullest(&self, backends: usize) -> Option<f64> {
        let known = self.known();
        let most = known.connections.iter().max().copied().unwrap_or_default();
        let (sum, all) = (known.connections.iter().sum::<usize>(), self.case.scenario.clients);
        (sum == all).then(|| most as f64 * backends as f64 / all as f64)
    }

    /// Returns the ends of connections so far, in their order.
    pub(crate) fn ends(&self) -> Vec<End> {
        self.known().ends.clone()
    }

    /// Returns what has become of the clients of each workload so far. Requests that have just been cut may be missing.
    pub(crate) fn tallies(&self) -> BTreeMap<Workload, Tally> {
        let known = self.known();
        let tally = |workload: &Workload| {
            let unanswered = known.unanswered.iter().filter(|(of, _)| of == workload);
            let (cut, crossed): (Vec<u64>, Vec<u64>) =
                unanswered.map(|(_, request)| *request).partition(|request| self.arrived.has(*request));
            let tally = Tally {
                requests: known.requests.get(workload).copied().unwrap_or_default(),
                ends: known.ends.iter().filter(|end| end.workload == *workload).count(),
                cut: cut.len(),
                crossed: crossed.len(),
            };
            (*workload, tally)
        };
        self.case.workloads.iter().map(tally).collect()
    }

    async fn stay(self: Arc<Self>, number: usize) {
        let mut random = Random::new(u64::try_from(number).unwrap_or_default());
        // By lot, since backends take turns as well.
        let workload = random.one_of(self.case.workloads);
        // So that not all ask at once.
        let mut thinking = self.case.scenario.think.mul_f64(random.uniform());
        loop {
            let Ok((mut stream, backend)) = self.open().await else {
                sleep(RETRY_TIME).await;
                continue;
            };
            self.known().connections[backend] += 1;
            let (mut asked, too_old) = (None, self.too_old(random.another()));
            select! {
                () = self.work(&mut stream, workload, thinking, &mut asked, &mut random) => {}
                () = too_old => {}
            }
            drop(stream);
            {
                let mut known = self.known();
                known.connections[backend] -= 1;
                known.unanswered.extend(asked.map(|request| (workload, request)));
                known.ends.push(End { client: number, workload, at: Instant::now() });
            }
            thinking = self.thinking_time(&mut random);
        }
    }

    async fn open(&self) -> anyhow::Result<(BufReader<TcpStream>, usize)> {
        let mut stream = BufReader::new(TcpStream::connect(self.entry).await?);
        stream.get_ref().set_nodelay(true)?;
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        let address: SocketAddr = line.trim().parse()?;
        let backend = self.backends.iter().position(|backend| *backend == address).context("an unknown backend")?;
        Ok((stream, backend))
    }

    /// Waits until a connection that opens now is ended because of its age.
    async fn too_old(&self, random: Random) {
        match &self.limit {
            Some(limit) => limit.clone().reached(random).await,
            None => std::future::pending().await,
        }
    }

    /// Works until the connection ends. `asked` is the request that has no response yet.
    async fn work(
        &self,
        stream: &mut BufReader<TcpStream>,
        workload: Workload,
        mut thinking: Duration,
        asked: &mut Option<u64>,
        random: &mut Random,
    ) {
        loop {
            if timeout(thinking, stream.fill_buf()).await.is_ok() {
                return; // closed while nothing was asked
            }
            for takes in workload.requests(random) {
                let request = self.requests.fetch_add(1, Ordering::Relaxed);
                *self.known().requests.entry(workload).or_default() += 1;
                *asked = Some(request);
                if exchange(stream, *takes, request).await.is_err() {
                    return;
                }
                *asked = None;
                self.arrived.forget(request);
            }
            thinking = self.thinking_time(random);
        }
    }

    fn thinking_time(&self, random: &mut Random) -> Duration {
        self.case.scenario.think.mul_f64(0.8 + 0.4 * random.uniform())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends a request that `takes` this long, and waits for the response.
async fn exchange(stream: &mut BufReader<TcpStream>, takes: Duration, number: u64) -> anyhow::Result<()> {
    stream.write_all(format!("{} {number}\n", takes.as_millis()).as_bytes()).await?;
    let mut response = String::new();
    stream.read_line(&mut response).await?;
    ensure!(response == RESPONSE, "the connection has ended");
    Ok(())
}
