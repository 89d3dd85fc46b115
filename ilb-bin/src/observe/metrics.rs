//! The facts as metrics, in the text format of `OpenMetrics`.
//!
//! Every metric is one [`Metric`]: its name, its meaning and where its values come from. Values are read from
//! the facts when somebody asks, so a backend that has gone has no series any more.

mod backend;
mod encode;
mod pool;
mod process;
mod settings;
mod traefik;

use prometheus_client::{metrics::histogram::Histogram, registry::Registry};
use tokio::time::Instant;

use self::process::Process;
use crate::observe::insight::{BackendStatus, Facts, Insight, PoolFacts};

/// The metrics, ready to be asked for.
#[derive(Debug)]
pub(crate) struct Metrics(Registry);

/// One metric: a family of series with one name.
pub(crate) struct Metric {
    /// Without the suffix `_total` of a counter, with the unit.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) unit: Option<&'static str>,
    /// One sentence, without its full stop: the format adds one.
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

/// Takes one series: the values of the labels, in the order of the metric's, and its value.
type Series<'a> = dyn FnMut(&[&str], Value<'_>) + 'a;

enum Value<'a> {
    Number(f64),
    Histogram(&'a Histogram),
    Info,
}

/// What one answer is made of.
struct Scrape<'a> {
    facts: &'a Facts,
    now: Instant,
    process: Process,
    pools: Vec<PoolScrape<'a>>,
}

struct PoolScrape<'a> {
    name: &'a str,
    facts: &'a PoolFacts,
    /// The first [`MOST_BACKENDS`] backends, by address.
    backends: Vec<(String, BackendStatus)>,
}

/// So many backends of a pool have series of their own, so that a huge pool does not overwhelm who collects them.
pub(crate) const MOST_BACKENDS: usize = 2_000;

impl Metrics {
    /// The format of [`Metrics::text`].
    pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    pub(crate) fn of(insight: Insight) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(encode::Facts(insight)));
        Self(registry)
    }

    /// All metrics at this moment.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0)?;
        Ok(text)
    }
}

/// All metrics, in the order of the document.
pub(crate) fn all() -> impl Iterator<Item = &'static Metric> {
    [traefik::METRICS, pool::METRICS, backend::METRICS, settings::METRICS, process::METRICS].into_iter().flatten()
}

impl<'a> Scrape<'a> {
    fn of(facts: &'a Facts) -> Self {
        let pool = |(name, pool): (&'a String, &'a PoolFacts)| {
            let backends = pool
                .backends(MOST_BACKENDS)
                .into_iter()
                .map(|backend| (backend.address.to_string(), backend))
                .collect();
            PoolScrape { name, facts: pool, backends }
        };
        let pools = facts.pools.iter().map(pool).collect();
        Self { facts, now: Instant::now(), process: Process::read(), pools }
    }

    /// One value per pool, where there is one.
    fn pools(&self, series: &mut Series<'_>, value: impl Fn(&PoolFacts) -> Option<f64>) {
        for pool in &self.pools {
            if let Some(value) = value(pool.facts) {
                series(&[pool.name], Value::Number(value));
            }
        }
    }

    /// One value per backend, where there is one.
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

/// A count as a value. Exact up to 2^53.
#[allow(clippy::cast_precision_loss)]
fn number(count: u64) -> f64 {
    count as f64
}

/// A size as a value.
fn size(count: usize) -> f64 {
    number(count as u64)
}

fn yes_or_no(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}

#[cfg(test)]
mod documentation;
#[cfg(test)]
mod tests;
