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

use crate::scenario::{Client, Scenario};

/// The state that the clients of a system share.
pub(crate) struct Clients {
    routes: Mutex<Arc<[Route]>>,
    live: Mutex<Vec<i32>>,
    attempts: Mutex<Vec<Attempt>>,
    /// Number of attempts that have neither succeeded nor failed.
    pending: AtomicUsize,
    started: Instant,
}

/// A way that clients take to the backends: a replica.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// Address that clients connect to.
    pub(crate) entry: SocketAddr,
    /// Backends behind it, as they name themselves.
    pub(crate) backends: Vec<SocketAddr>,
    /// Part of the clients that take it.
    pub(crate) part: f64,
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
    /// Creates the clients that take these routes. They begin at `started`.
    pub(crate) fn new(routes: Vec<Route>, backends: usize, started: Instant) -> Self {
        Self {
            routes: Mutex::new(routes.into()),
            live: Mutex::new(vec![0; backends]),
            attempts: Mutex::default(),
            pending: AtomicUsize::new(0),
            started,
        }
    }

    /// Replaces the routes of connections that open from now on.
    pub(crate) fn set_routes(&self, routes: Vec<Route>) {
        *self.routes.lock().unwrap_or_else(PoisonError::into_inner) = routes.into();
    }

    /// Lets the clients of one schedule of a scenario arrive and stay, until the last of them has left.
    pub(crate) async fn run(self: Arc<Self>, scenario: &'static Scenario, schedule: u64) {
        let mut clients = tokio::task::JoinSet::new();
        for client in scenario.clients(schedule) {
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
        let mut until = self.moment(client.at + client.life);
        let mut first = true;
        while Instant::now() < until {
            let Some((mut stream, index)) = self.attempt(&client).await else { return };
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

    async fn attempt(&self, client: &Client) -> Option<(BufReader<TcpStream>, usize)> {
        let routes = Arc::clone(&self.routes.lock().unwrap_or_else(PoisonError::into_inner));
        let Route { entry, backends, .. } = route_of(client, &routes)?;
        self.pending.fetch_add(1, Ordering::Relaxed);
        let at = self.now();
        let reached = timeout(ANSWER_LIMIT, reach(*entry, backends)).await.ok().and_then(Result::ok);
        let attempt = Attempt { at, failed: reached.is_none() };
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).push(attempt);
        self.pending.fetch_sub(1, Ordering::Relaxed);
        reached
    }

    fn moment(&self, seconds: f64) -> Instant {
        self.started + Duration::from_secs_f64(seconds)
    }

    fn add(&self, index: usize, by: i32) {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)[index] += by;
    }
}

/// Returns the route of a client, which depends on nothing else about it than a number that is as good as drawn.
fn route_of<'a>(client: &Client, routes: &'a [Route]) -> Option<&'a Route> {
    let mut rest = (client.life.fract() * 1e3).fract();
    let last = routes.last();
    let taken = |route: &&Route| {
        rest -= route.part;
        rest < 0.0
    };
    routes.iter().find(taken).or(last)
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
