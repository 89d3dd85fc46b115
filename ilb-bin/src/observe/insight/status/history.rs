//! The history as `/history` shows it.

use std::net::SocketAddr;

use serde::Serialize;
use tokio::time::Instant;

use crate::observe::insight::{
    Facts, PoolFacts,
    history::{Point, Span},
};

/// The document of `/history`. Each list has a value for each step, oldest first; the newest step is not over.
#[derive(Debug, Serialize)]
pub(crate) struct HistoryDocument {
    /// Version of this form.
    schema: u32,
    step_seconds: u64,
    pools: Vec<PoolSeries>,
    /// The backends of the pool that was asked for, at most 400 over all pools.
    backends: Vec<BackendSeries>,
}

#[derive(Debug, Serialize)]
struct PoolSeries {
    name: String,
    #[serde(flatten)]
    lists: Lists,
    imbalance: Vec<Option<f64>>,
}

#[derive(Debug, Serialize)]
struct BackendSeries {
    address: SocketAddr,
    pod: Option<String>,
    #[serde(flatten)]
    lists: Lists,
}

/// Means of each step; `null` where connections were not counted.
#[derive(Debug, Serialize)]
struct Lists {
    connections: Vec<Option<f64>>,
    /// Connections opened per second.
    opened: Vec<Option<f64>>,
    /// Connections closed per second.
    closed: Vec<Option<f64>>,
    /// Connections per second that were refused or never answered.
    failed: Vec<Option<f64>>,
    /// Bytes per second, in both directions.
    bytes: Vec<Option<f64>>,
}

impl Facts {
    /// Returns the history of all pools, or that of one with its backends; `None` if there is no such pool.
    pub(crate) fn history(&self, pool: Option<&str>, span: Span, now: Instant) -> Option<HistoryDocument> {
        let (schema, step_seconds) = (1, span.step().as_secs());
        let Some(name) = pool else {
            let pools = self.pools.iter().map(|(name, pool)| pool.series(name, span, now)).collect();
            return Some(HistoryDocument { schema, step_seconds, pools, backends: Vec::new() });
        };
        let pool = self.pools.get(name)?;
        let backends = pool.history.backends(span, now).into_iter().map(|(address, points)| {
            let backend = pool.backends.as_ref().and_then(|backends| backends.get(&address)?.pod());
            BackendSeries { address, pod: backend.map(|pod| pod.name().to_owned()), lists: Lists::new(&points) }
        });
        let backends = backends.collect();
        Some(HistoryDocument { schema, step_seconds, pools: vec![pool.series(name, span, now)], backends })
    }
}

impl PoolFacts {
    fn series(&self, name: &str, span: Span, now: Instant) -> PoolSeries {
        let points = self.history.pool(span, now);
        let imbalance = points.iter().map(|point| point.imbalance.map(|ratio| rounded(ratio, 1e4))).collect();
        PoolSeries { name: name.to_owned(), lists: Lists::new(&points), imbalance }
    }
}

impl Lists {
    fn new(points: &[Point]) -> Self {
        let list = |of: fn(&Point) -> Option<f64>, parts: f64| {
            points.iter().map(|point| of(point).map(|value| rounded(value, parts))).collect()
        };
        Self {
            connections: list(|point| point.connections, 10.0),
            opened: list(|point| point.opened_per_second, 100.0),
            closed: list(|point| point.closed_per_second, 100.0),
            failed: list(|point| point.failed_per_second, 100.0),
            bytes: list(|point| point.bytes_per_second, 1.0),
        }
    }
}

/// Rounds a value to this many parts of one: more digits are only noise to a reader.
fn rounded(value: f64, parts: f64) -> f64 {
    (value * parts).round() / parts
}
