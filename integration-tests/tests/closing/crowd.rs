//! Clients that hold a connection, and remember when it ended.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use ilb_testbed::eventually;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};

/// Clients that hold a connection each.
pub(crate) struct Crowd {
    entries: Arc<[SocketAddr]>,
    after: AfterEnd,
    known: Arc<Mutex<Known>>,
    tasks: JoinSet<()>,
}

/// Reaction of a client to the end of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterEnd {
    Reconnect,
    StayAway,
}

/// The end of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    /// Number of the client.
    pub(crate) client: usize,
    pub(crate) backend: SocketAddr,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
}

#[derive(Debug, Default)]
struct Known {
    /// Backend of each client, and since when; `None` while it has no connection.
    held: Vec<Option<(SocketAddr, Instant)>>,
    ends: Vec<End>,
}

impl Crowd {
    /// Connects this many clients to `entry`.
    pub(crate) async fn connect(entry: SocketAddr, after: AfterEnd, clients: usize) -> Self {
        Self::connect_to_any(&[entry], after, clients).await
    }

    /// Connects this many clients, each time to any of `entries`, as by a Service in front of them.
    pub(crate) async fn connect_to_any(entries: &[SocketAddr], after: AfterEnd, clients: usize) -> Self {
        let mut this = Self { entries: entries.into(), after, known: Arc::default(), tasks: JoinSet::new() };
        this.join(clients).await;
        this
    }

    /// Connects more clients.
    pub(crate) async fn join(&mut self, clients: usize) {
        for _ in 0..clients {
            let number = {
                let mut known = self.known.lock().unwrap();
                known.held.push(None);
                known.held.len() - 1
            };
            self.tasks.spawn(hold(Arc::clone(&self.entries), self.after, number, Arc::clone(&self.known)));
        }
        eventually("all clients are connected", async || {
            let connected = self.connected();
            anyhow::ensure!(connected == self.len(), "{connected} are");
            Ok(())
        })
        .await
        .unwrap();
    }

    /// Returns the number of clients.
    pub(crate) fn len(&self) -> usize {
        self.known.lock().unwrap().held.len()
    }

    /// Returns the number of clients that are connected.
    pub(crate) fn connected(&self) -> usize {
        self.known.lock().unwrap().held.iter().flatten().count()
    }

    /// Returns the number of clients of each backend that has some.
    pub(crate) fn counts(&self) -> BTreeMap<SocketAddr, usize> {
        let mut counts = BTreeMap::new();
        for (backend, _) in self.known.lock().unwrap().held.iter().flatten() {
            *counts.entry(*backend).or_default() += 1;
        }
        counts
    }

    /// Returns the ends of connections so far, in their order.
    pub(crate) fn ends(&self) -> Vec<End> {
        self.known.lock().unwrap().ends.clone()
    }

    /// Waits until this many connections have ended.
    pub(crate) async fn wait_for_ends(&self, number: usize) -> Vec<End> {
        eventually("connections end", async || {
            let ends = self.ends();
            anyhow::ensure!(ends.len() >= number, "{} of {number} have", ends.len());
            Ok(ends)
        })
        .await
        .unwrap()
    }
}

/// Holds a connection, which begins with the address of its backend.
async fn hold(entries: Arc<[SocketAddr]>, after: AfterEnd, client: usize, known: Arc<Mutex<Known>>) {
    for attempt in 0.. {
        // Before it can be open: a client that has to wait for the processor learns late of it.
        let began = Instant::now();
        let Some((mut stream, backend)) = open(entries[choice(client, attempt, entries.len())]).await else {
            tokio::task::yield_now().await;
            continue;
        };
        known.lock().unwrap().held[client] = Some((backend, began));
        let mut line = String::new();
        while stream.read_line(&mut line).await.is_ok_and(|length| length > 0) {
            line.clear();
        }
        let mut known = known.lock().unwrap();
        known.held[client] = None;
        known.ends.push(End { client, backend, began, ended: Instant::now() });
        if after == AfterEnd::StayAway {
            return;
        }
    }
}

/// Returns one of this many numbers from zero, at random and always the same for an attempt of a client.
fn choice(client: usize, attempt: usize, numbers: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    (client, attempt).hash(&mut hasher);
    usize::try_from(hasher.finish() % numbers as u64).unwrap()
}

/// Connects, and makes one exchange, which shows for certain that the last data came from the backend.
async fn open(entry: SocketAddr) -> Option<(BufReader<TcpStream>, SocketAddr)> {
    let mut stream = BufReader::new(TcpStream::connect(entry).await.ok()?);
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let backend = line.trim().parse().ok()?;
    stream.write_all(b"hello\n").await.ok()?;
    line.clear();
    stream.read_line(&mut line).await.ok()?;
    (line == "hello\n").then_some((stream, backend))
}
