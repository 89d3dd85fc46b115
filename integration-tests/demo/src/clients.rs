//! Clients that connect again when they lose their connection.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use ilb_testbed::eventually;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::server::Arrived;

/// Clients with a long-lived connection each, which they use every second and open again when it is lost.
pub(crate) struct Clients {
    tally: Arc<Mutex<Tally>>,
    _tasks: JoinSet<()>,
}

/// The history of all connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Live connections by backend.
    pub(crate) live: BTreeMap<SocketAddr, usize>,
    /// Number of connections that were opened.
    pub(crate) opened: usize,
    /// Number of connections that ended although the Traefik that carried them runs.
    pub(crate) ended: usize,
    /// Number of requests that have reached a backend and were not answered, although that Traefik runs.
    pub(crate) cut_requests: usize,
    /// Number of connections that ended with the Traefik that carried them.
    pub(crate) ended_with_traefik: usize,
    /// Number of Traefik processes before the one that runs now.
    former_traefiks: usize,
}

/// Time limit for each step of a client: far longer than any takes in a working system.
const STEP_LIMIT: Duration = Duration::from_secs(20);

impl Clients {
    /// Starts `size` clients of `address`, and waits until all are connected.
    pub(crate) async fn start(address: SocketAddr, size: usize, arrived: &Arrived) -> anyhow::Result<Self> {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let mut tasks = JoinSet::new();
        for index in 0..size {
            // The clients use their connections at different moments of a second.
            let delay = Duration::from_millis(index as u64 * 1000 / size as u64);
            tasks.spawn(client(address, Arc::clone(&tally), arrived.clone(), delay));
        }
        let clients = Self { tally, _tasks: tasks };
        clients.wait_until_open(size).await?;
        Ok(clients)
    }

    /// Waits until `size` connections are open.
    pub(crate) async fn wait_until_open(&self, size: usize) -> anyhow::Result<()> {
        eventually("all clients are connected", async || {
            let live: usize = self.tally().live.values().sum();
            anyhow::ensure!(live >= size, "{live} of {size} are");
            Ok(())
        })
        .await
    }

    /// Returns the history so far.
    pub(crate) fn tally(&self) -> Tally {
        lock(&self.tally).clone()
    }

    /// Announces that Traefik will be killed: its connections end with it, and do not count as cut.
    pub(crate) fn expect_end_of_traefik(&self) {
        lock(&self.tally).former_traefiks += 1;
    }
}

async fn client(address: SocketAddr, tally: Arc<Mutex<Tally>>, arrived: Arrived, delay: Duration) {
    sleep(delay).await;
    loop {
        let Ok(mut session) = Session::open(address).await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let traefik = {
            let mut tally = lock(&tally);
            tally.opened += 1;
            *tally.live.entry(session.backend).or_default() += 1;
            tally.former_traefiks
        };
        let unanswered = session.work().await;
        let mut tally = lock(&tally);
        *tally.live.entry(session.backend).or_default() -= 1;
        if tally.former_traefiks == traefik {
            tally.ended += 1;
            // One that was sent while the connection was being closed has reached no backend: nothing of it was begun.
            tally.cut_requests += usize::from(unanswered.is_some_and(|request| arrived.contains(request)));
        } else {
            tally.ended_with_traefik += 1;
        }
    }
}

/// A connection to a backend.
struct Session {
    stream: BufReader<TcpStream>,
    backend: SocketAddr,
}

impl Session {
    async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = timeout(STEP_LIMIT, TcpStream::connect(address)).await.context("connecting timed out")??;
        stream.set_nodelay(true)?;
        let mut stream = BufReader::new(stream);
        let mut greeting = String::new();
        timeout(STEP_LIMIT, stream.read_line(&mut greeting)).await.context("reading timed out")??;
        let backend = greeting.trim_end().parse().with_context(|| format!("the server sent {greeting:?}"))?;
        Ok(Self { stream, backend })
    }

    /// Sends a request every second until the connection ends. Returns the request that was not answered, if there is one.
    async fn work(&mut self) -> Option<u64> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let request = NEXT.fetch_add(1, Ordering::Relaxed);
            if self.ask(request).await.is_err() {
                return Some(request);
            }
            if timeout(Duration::from_secs(1), self.stream.fill_buf()).await.is_ok() {
                return None; // it ended while nothing was asked
            }
        }
    }

    async fn ask(&mut self, request: u64) -> anyhow::Result<()> {
        let (line, mut answer) = (format!("{request}\n"), String::new());
        self.stream.write_all(line.as_bytes()).await?;
        timeout(STEP_LIMIT, self.stream.read_line(&mut answer)).await.context("reading timed out")??;
        anyhow::ensure!(answer == line, "the backend answered {answer:?}");
        Ok(())
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}
