//! The connections of a moment, which all who look at about the same time share.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, Instant as Clock},
};

use async_trait::async_trait;
use ilb_connections::{FlowPool, FlowTable};
use ilb_traefik_client::client::EntryPoint;
use tokio::{
    sync::Mutex,
    time::{Instant, sleep, sleep_until},
};

use super::{
    document::ConnectionPage,
    query::Query,
    snapshot::{Snapshot, pools_of},
};
use crate::observe::insight::Insight;

/// Reads connections.
#[async_trait]
pub(crate) trait Source: Send + Sync {
    /// Reads all connections of these pools.
    async fn read(&self, pools: Vec<FlowPool>) -> Result<FlowTable, String>;

    /// Returns an entry point of Traefik by its name, if it is known.
    fn entry_point(&self, name: &str) -> Option<EntryPoint>;

    /// Forgets what was remembered for the next read, because nobody looks any more.
    fn forget(&self);
}

/// Answers questions for connections. The kernel is asked at most once a second, and less often where that takes long; and all
/// questions together take no more than a tenth of a core.
#[derive(Clone)]
pub(crate) struct ConnectionTable(Arc<Shared>);

struct Shared {
    insight: Insight,
    /// Set once the process knows where Traefik is.
    source: OnceLock<Result<Arc<dyn Source>, String>>,
    latest: Mutex<Latest>,
}

struct Latest {
    snapshot: Option<Arc<Snapshot>>,
    /// Moment before which no other one is read.
    read_again: Instant,
    /// Moment before which no other question is answered.
    answer_again: Instant,
    /// Moment of the last question.
    asked: Instant,
}

/// Reason why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The process has just started.
    NotYet,
    /// The connections can never be seen from here.
    Hidden(String),
    /// The kernel does not answer.
    Unreadable(String),
}

/// Minimum time between two reads.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// Maximum time between two reads, however long one takes.
const MAX_PAUSE: Duration = Duration::from_secs(30);

/// Pause after a read, in multiples of the time that it took.
const PAUSE_PER_READ: u32 = 50;

/// Pause after an answer, in multiples of the time that it took.
const PAUSE_PER_ANSWER: u32 = 10;

/// Time after the last question for which connections are remembered.
const MEMORY: Duration = Duration::from_secs(60);

impl ConnectionTable {
    pub(crate) fn new(insight: Insight) -> Self {
        let now = Instant::now();
        let latest = Latest { snapshot: None, read_again: now, answer_again: now, asked: now };
        Self(Arc::new(Shared { insight, source: OnceLock::new(), latest: Mutex::new(latest) }))
    }

    /// Sets where connections are read, or why they cannot be seen. Only the first call counts.
    pub(crate) fn set_source(&self, source: Result<Arc<dyn Source>, String>) {
        let _ = self.0.source.set(source);
    }

    /// Answers a question.
    pub(crate) async fn page(&self, query: &Query) -> Result<ConnectionPage, Failure> {
        let source = match self.0.source.get() {
            None => return Err(Failure::NotYet),
            Some(Err(reason)) => return Err(Failure::Hidden(reason.clone())),
            Some(Ok(source)) => source,
        };
        let mut latest = self.0.latest.lock().await;
        sleep_until(latest.answer_again).await;
        latest.asked = Instant::now();
        let snapshot = match &latest.snapshot {
            Some(snapshot) if Instant::now() < latest.read_again => Arc::clone(snapshot),
            _ => self.read(source, &mut latest).await?,
        };
        let begun = Clock::now();
        let page = snapshot.page(query, Instant::now());
        latest.answer_again = Instant::now() + begun.elapsed() * PAUSE_PER_ANSWER;
        Ok(page)
    }

    async fn read(&self, source: &Arc<dyn Source>, latest: &mut Latest) -> Result<Arc<Snapshot>, Failure> {
        sleep_until(latest.read_again).await;
        let facts = self.0.insight.snapshot();
        let (pools, names) = pools_of(&facts, |name| source.entry_point(name));
        drop(facts);
        let begun = Clock::now();
        let table = source.read(pools).await;
        let pause = (begun.elapsed() * PAUSE_PER_READ).clamp(MIN_PAUSE, MAX_PAUSE);
        let now = Instant::now();
        latest.read_again = now + pause;
        let snapshot = Arc::new(Snapshot::new(table.map_err(Failure::Unreadable)?, names, now));
        if latest.snapshot.replace(Arc::clone(&snapshot)).is_none() {
            tokio::spawn(forget_later(Arc::clone(&self.0), Arc::clone(source)));
        }
        Ok(snapshot)
    }
}

/// Forgets the connections when nobody has asked for them for a while.
async fn forget_later(shared: Arc<Shared>, source: Arc<dyn Source>) {
    loop {
        sleep(MEMORY).await;
        let mut latest = shared.latest.lock().await;
        if latest.asked.elapsed() >= MEMORY {
            latest.snapshot = None;
            source.forget();
            return;
        }
    }
}

impl fmt::Debug for ConnectionTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionTable").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
