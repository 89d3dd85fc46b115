//! The facts as metrics, in the text format of `OpenMetrics`.
//!
//! Every metric is one [`metric::Metric`]: its name, its meaning and the function that reads its values. Values are read from the
//! facts at each scrape, so a backend that is no longer there has no series.

mod backend;
mod catalog;
mod convert;
mod encode;
mod metric;
mod pool;
mod proc_stat;
mod process;
mod scrape;
mod series;
mod settings;
mod traefik;

use prometheus_client::registry::Registry;

use self::encode::FactsCollector;
use crate::{observe::insight::Insight, process::logging::DroppedLines};

/// The metrics of a running ilb.
#[derive(Debug)]
pub(crate) struct Metrics(Registry);

impl Metrics {
    /// Media type of [`Metrics::text`].
    pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

    pub(crate) fn new(insight: Insight, dropped_lines: DroppedLines) -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(FactsCollector { insight, dropped_lines }));
        Self(registry)
    }

    /// Writes all metrics at this moment.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0)?;
        Ok(text)
    }
}

#[cfg(test)]
mod documentation;
#[cfg(test)]
mod tests;
