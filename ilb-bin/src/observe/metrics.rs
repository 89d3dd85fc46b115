//! The facts as metrics, in the text formats of `OpenMetrics` and of Prometheus.
//!
//! Every metric is one [`metric::Metric`]: its name, its meaning and the function that reads its values. Values are read from the
//! facts at each scrape, so a backend that is no longer there has no series.

mod backend;
mod catalog;
mod closing;
mod connection_log;
mod convert;
mod encode;
mod format;
mod metric;
mod pool;
mod proc_stat;
mod process;
mod scrape;
mod series;
mod settings;
mod siblings;
mod text_format;
mod traefik;

use prometheus_client::registry::Registry;
use tokio::runtime::Handle;

use self::encode::FactsCollector;
pub(crate) use self::format::Format;
use crate::{observe::insight::Insight, process::logging::DroppedLines};

/// The metrics of a running ilb.
#[derive(Debug)]
pub(crate) struct Metrics(Registry);

impl Metrics {
    /// Creates the metrics of the runtime that this is called in.
    pub(crate) fn new(insight: Insight, dropped_lines: DroppedLines) -> Self {
        let mut registry = Registry::default();
        let runtime = Handle::try_current().ok();
        registry.register_collector(Box::new(FactsCollector { insight, dropped_lines, runtime }));
        Self(registry)
    }

    /// Writes all metrics at this moment.
    pub(crate) fn text(&self, format: Format) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0)?;
        Ok(match format {
            Format::Text => text_format::from_open_metrics(&text),
            Format::OpenMetrics => text,
        })
    }
}

#[cfg(test)]
mod documentation;
#[cfg(test)]
mod tests;
