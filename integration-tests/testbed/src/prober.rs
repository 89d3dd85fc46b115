//! A steady stream of new connections.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use crate::Connection;

/// A client that opens one connection after the other at a steady rate, and remembers which backend each has reached.
#[derive(Debug)]
pub struct Prober {
    hits: Arc<Mutex<Vec<Hit>>>,
    task: JoinHandle<()>,
}

/// An attempt to connect, and its outcome.
#[derive(Clone, Copy, Debug)]
pub struct Hit {
    /// Moment at which the backend had named itself, or the attempt had failed.
    pub at: Instant,
    /// Backend that was reached; `None` if the attempt failed.
    pub backend: Option<SocketAddr>,
}

impl Prober {
    /// Begins to open a connection to `address` once a `period`. An attempt that takes longer than `limit` has failed.
    pub fn start(address: SocketAddr, period: Duration, limit: Duration) -> Self {
        let hits = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&hits);
        let task = tokio::spawn(async move {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let attempt = timeout(limit, Connection::open(address)).await;
                let backend = attempt.ok().and_then(Result::ok).map(|connection| connection.backend());
                record.lock().unwrap_or_else(PoisonError::into_inner).push(Hit { at: Instant::now(), backend });
            }
        });
        Self { hits, task }
    }

    /// Returns all attempts so far, oldest first.
    pub fn hits(&self) -> Vec<Hit> {
        self.hits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the number of attempts so far.
    pub fn count(&self) -> usize {
        self.hits.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.task.abort();
    }
}
