//! The facts as metrics, in the text format of `OpenMetrics`.
//!
//! Every metric is one [`Metric`]: its name, its meaning and the function that reads its values. Values are read from the
//! facts at each scrape, so a backend that is no longer there has no series.

mod backend;
mod convert;
mod encode;
mod pool;
mod proc_stat;
mod process;
mod settings;
mod traefik;

use prometheus_client::{metrics::histogram::Histogram, registry::Registry};
use tokio::time::Instant;

use self::{
    convert::{number, size, yes_or_no},
    proc_stat::Process,
};
use crate::observe::insight::{BackendStatus, Facts, Insight, PoolFacts};

/// The metrics of a running ilb.
#[derive(Debug)]
pub(crate) struct Metrics(Registry);

/// A metric: a family of series with one name.
pub(crate) struct Metric {
    /// Name with the unit, and without the suffix `_total` of a counter.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) unit: Option<&'static str>,
    /// Sentence without its full stop, which the format adds.
    pub(crate) help: &'static str,
    pub(crate) labels: &'static [&'static str],
    read: fn(&Scrape<'_>, &mut Series<'_>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}

/// Receiver of one series: the values of the labels, in the order of the metric's labels, and the value.
type Series<'a> = dyn FnMut(&[&str], Value<'_>) + 'a;

enum Value<'a> {
    Number(f64),
    Histogram(&'a Histogram),
    Info,
}

/// The sources of the metrics of one scrape.
struct Scrape<'a> {
    facts: &'a Facts,
    now: Instant,
    process: Process,
    pools: Vec<PoolScrape<'a>>,
}

struct PoolScrape<'a> {
    name: &'a str,
    facts: &'a PoolFacts,
    /// The first [`MAX_BACKENDS_WITH_SERIES`] backends, by address.
    backends: Vec<(String, BackendStatus)>,
}

/// Maximum number of backends of a pool with series of their own, so that a huge pool does not overwhelm Prometheus.
pub(crate) const MAX_BACKENDS_WITH_SERIES: usize = 2_000;

impl Metrics {
    /// Media type of [`Metrics::text`].
    pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    pub(crate) fn new(insight: Insight) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(encode::FactsCollector(insight)));
        Self(registry)
    }

    /// Writes all metrics at this moment.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0)?;
        Ok(text)
    }
}

/// Returns all metrics, in the order of the document.
pub(crate) fn all() -> impl Iterator<Item = &'static Metric> {
    [traefik::METRICS, pool::METRICS, backend::METRICS, settings::METRICS, process::METRICS].into_iter().flatten()
}

impl<'a> Scrape<'a> {
    fn new(facts: &'a Facts) -> Self {
        let pool = |(name, pool): (&'a String, &'a PoolFacts)| {
            let backends = pool
                .backend_statuses(MAX_BACKENDS_WITH_SERIES)
                .into_iter()
                .map(|backend| (backend.address.to_string(), backend))
                .collect();
            PoolScrape { name, facts: pool, backends }
        };
        let pools = facts.pools.iter().map(pool).collect();
        Self { facts, now: Instant::now(), process: Process::read(), pools }
    }

    /// Passes on one value per pool, where there is one.
    fn pools(&self, series: &mut Series<'_>, value: impl Fn(&PoolFacts) -> Option<f64>) {
        for pool in &self.pools {
            if let Some(value) = value(pool.facts) {
                series(&[pool.name], Value::Number(value));
            }
        }
    }

    /// Passes on one value per backend, where there is one.
    fn backends(&self, series: &mut Series<'_>, value: impl Fn(&BackendStatus) -> Option<f64>) {
        for pool in &self.pools {
            for (address, backend) in &pool.backends {
                if let Some(value) = value(backend) {
                    series(&[pool.name, address], Value::Number(value));
                }
            }
        }
    }
}

#[cfg(test)]
mod documentation;
#[cfg(test)]
mod tests;
