//! The facts of one scrape, from which the values are read.

use tokio::time::Instant;

use super::{
    proc_stat::Process,
    series::{Series, Value},
};
use crate::observe::insight::{BackendStatus, Facts, PoolFacts, StateCounts};

/// Maximum number of backends of a pool with series of their own, so that a huge pool does not overwhelm Prometheus.
pub(super) const MAX_BACKENDS_WITH_SERIES: usize = 2_000;

/// The sources of the metrics of one scrape.
pub(super) struct Scrape<'a> {
    pub(super) facts: &'a Facts,
    pub(super) now: Instant,
    pub(super) process: Process,
    /// Lines that the log has lost.
    pub(super) dropped_lines: u64,
    pub(super) pools: Vec<PoolScrape<'a>>,
}

/// The sources of the metrics of one pool.
pub(super) struct PoolScrape<'a> {
    pub(super) name: &'a str,
    pub(super) facts: &'a PoolFacts,
    pub(super) count: StateCounts,
    /// The first [`MAX_BACKENDS_WITH_SERIES`] backends, by address.
    pub(super) backends: Vec<(String, BackendStatus)>,
}

impl<'a> Scrape<'a> {
    pub(super) fn new(facts: &'a Facts, process: Process, dropped_lines: u64) -> Self {
        let now = Instant::now();
        let pool = |(name, pool): (&'a String, &'a PoolFacts)| {
            let survey = pool.survey();
            let backends = pool.backend_statuses(survey.first(MAX_BACKENDS_WITH_SERIES), now).into_iter();
            let backends = backends.map(|backend| (backend.address.to_string(), backend)).collect();
            PoolScrape { name, facts: pool, count: survey.count(), backends }
        };
        let pools = facts.pools.iter().map(pool).collect();
        Self { facts, now, process, dropped_lines, pools }
    }

    /// Passes on one value per pool, where there is one.
    pub(super) fn pools(&self, series: &mut Series<'_>, value: impl Fn(&PoolFacts) -> Option<f64>) {
        for pool in &self.pools {
            if let Some(value) = value(pool.facts) {
                series(&[pool.name], Value::Number(value));
            }
        }
    }

    /// Passes on one value per backend, where there is one.
    pub(super) fn backends(&self, series: &mut Series<'_>, value: impl Fn(&BackendStatus) -> Option<f64>) {
        for pool in &self.pools {
            for (address, backend) in &pool.backends {
                if let Some(value) = value(backend) {
                    series(&[pool.name, address], Value::Number(value));
                }
            }
        }
    }
}
