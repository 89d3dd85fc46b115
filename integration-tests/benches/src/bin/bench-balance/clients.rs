//! Clients: each connects, makes a request, and stays for its life.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};

use crate::{
    scenario::{Client, Scenario},
    system::Replica,
};

/// The state that the clients of a system share.
pub(crate) struct Clients {
    /// Address that clients connect to, and the backends behind it.
    replicas: Vec<(SocketAddr, Vec<SocketAddr>)>,
    live: Mutex<Vec<i32>>,
    attempts: Mutex<Vec<Attempt>>,
    /// Number of attempts that have neither succeeded nor failed.
    pending: AtomicUsize,
    started: Instant,
}

/// An attempt of a client to reach a backend that answers.
#[derive(Clone, Copy)]
pub(crate) struct Attempt {
    /// Seconds since the start.
    pub(crate) at: f64,
    pub(crate) failed: bool,
}

/// Time limit for a connection to be opened and answered.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

impl Clients {
    /// Creates the clients of these replicas. They begin at `started`.
    pub(crate) fn new(replicas: &[Replica], backends: usize, started: Instant) -> Self {
        Self {
            replicas: replicas.iter().map(|replica| (replica.entry, replica.backends.clone())).collect(),
            live: Mutex::new(vec![0; backends]),
            attempts: Mutex::default(),
            pending: AtomicUsize::new(0),
            started,
        }
    }

    /// Lets the clients of a scenario arrive and stay, until the last of them has left.
    pub(crate) async fn run(self: Arc<Self>, scenario: &'static Scenario) {
        let mut clients = tokio::task::JoinSet::new();
        for client in scenario.clients() {
            self.until(client.at).await;
            clients.spawn(Arc::clone(&self).stay(client, scenario.slow));
            while clients.try_join_next().is_some() {}
        }
        while clients.join_next().await.is_some() {}
    }

    /// Returns the seconds since the start.
    pub(crate) fn now(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    /// Waits until a moment, in seconds since the start.
    pub(crate) async fn until(&self, seconds: f64) {
        sleep_until(self.moment(seconds)).await;
    }

    /// Waits until each attempt so far has succeeded or failed.
    pub(crate) async fn until_answered(&self) {
        let deadline = Instant::now() + ANSWER_LIMIT;
        while self.pending.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns the number of live connections of each backend.
    pub(crate) fn live(&self) -> Vec<i32> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the attempts that have succeeded or failed so far.
    pub(crate) fn attempts(&self) -> Vec<Attempt> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs a client. If its connection is cut it connects again within 0.2 s for the rest of its life; if that fails it
    /// gives up.
    async fn stay(self: Arc<Self>, client: Client, slow: f64) {
        let (entry, backends) = self.replica_of(&client);
        let mut until = self.moment(client.at + client.life);
        let mut first = true;
        while Instant::now() < until {
            let Some((mut stream, index)) = self.attempt(*entry, backends).await else { return };
            if std::mem::take(&mut first) && index == 0 {
                until = self.moment(client.at + client.life * slow);
            }
            self.add(index, 1);
            let cut = timeout_at(until, stream.read_u8()).await.is_ok();
            self.add(index, -1);
            if cut {
                sleep(Duration::from_secs_f64(0.2 * client.life.fract())).await;
            }
        }
    }

    async fn attempt(&self, entry: SocketAddr, backends: &[SocketAddr]) -> Option<(BufReader<TcpStream>, usize)> {
        self.pending.fetch_add(1, Ordering::Relaxed);
        let at = self.now();
        let reached = timeout(ANSWER_LIMIT, reach(entry, backends)).await.ok().and_then(Result::ok);
        let attempt = Attempt { at, failed: reached.is_none() };
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).push(attempt);
        self.pending.fetch_sub(1, Ordering::Relaxed);
        reached
    }

    /// Returns the replica that a client uses, which depends on nothing else about the client.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the number is below 1 million")]
    fn replica_of(&self, client: &Client) -> &(SocketAddr, Vec<SocketAddr>) {
        &self.replicas[(client.life.fract() * 1e6) as usize % self.replicas.len()]
    }

    fn moment(&self, seconds: f64) -> Instant {
        self.started + Duration::from_secs_f64(seconds)
    }

    fn add(&self, index: usize, by: i32) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)[index] += by;
    }
}

/// Connects to `entry`, reads the greeting, makes a request and waits for the answer. Returns which of `backends` it reached.
pub(crate) async fn reach(entry: SocketAddr, backends: &[SocketAddr]) -> anyhow::Result<(BufReader<TcpStream>, usize)> {
    let mut stream = BufReader::new(TcpStream::connect(entry).await?);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    let address: SocketAddr = line.trim().parse()?;
    let index = backends.iter().position(|b| *b == address).context("an unknown backend")?;
    stream.write_all(REQUEST).await?;
    let mut answer = Vec::new();
    stream.read_until(b'\n', &mut answer).await?;
    ensure!(answer == REQUEST, "another answer");
    Ok((stream, index))
}

/// The request of each client, which a working backend sends back.
const REQUEST: &[u8] = b"are you there?\n";
