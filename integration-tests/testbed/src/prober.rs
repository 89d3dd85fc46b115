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

/// A client that opens one connection after the other, at a steady rate, and remembers where each landed.
#[derive(Debug)]
pub struct Prober {
    hits: Arc<Mutex<Vec<Hit>>>,
    task: JoinHandle<()>,
}

/// One connection attempt.
#[derive(Clone, Copy, Debug)]
pub struct Hit {
    /// When the backend had said who it is, or the attempt had failed.
    pub at: Instant,
    /// The backend, or `None` if there was none.
    pub backend: Option<SocketAddr>,
}

impl Prober {
    /// Begins to open a connection to `address` once a `period`. An attempt that takes longer than `patience` failed.
    pub fn start(address: SocketAddr, period: Duration, patience: Duration) -> Self {
        let hits = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&hits);
        let task = tokio::spawn(async move {
            let mut ticks = interval(period);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let attempt = timeout(patience, Connection::open(address)).await;
                let backend = attempt.ok().and_then(Result::ok).map(|connection| connection.backend());
                record.lock().unwrap_or_else(PoisonError::into_inner).push(Hit { at: Instant::now(), backend });
            }
        });
        Self { hits, task }
    }

    /// All attempts so far, oldest first.
    pub fn hits(&self) -> Vec<Hit> {
        self.hits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number of attempts so far.
    pub fn count(&self) -> usize {
        self.hits.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.task.abort();
    }
}
