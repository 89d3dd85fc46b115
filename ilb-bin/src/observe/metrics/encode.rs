//! The encoding of all metrics in the text format.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet},
    metrics::MetricType,
    registry::Unit,
};
use tokio::runtime::Handle;

use super::{
    catalog::all,
    metric::{Kind, Metric},
    proc_stat::Process,
    scrape::Scrape,
    series::Value,
};
use crate::{observe::insight::Insight, process::logging::DroppedLines};

/// Reads all metrics from the facts.
#[derive(Debug)]
pub(super) struct FactsCollector {
    pub(super) insight: Insight,
    pub(super) dropped_lines: DroppedLines,
    /// The runtime of the controller.
    pub(super) runtime: Option<Handle>,
}

impl Collector for FactsCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let facts = self.insight.snapshot();
        let scrape = Scrape::new(&facts, Process::read(self.runtime.as_ref()), self.dropped_lines.get());
        all().try_for_each(|metric| metric.encode(&scrape, &mut encoder))
    }
}

impl Metric {
    fn encode(&self, scrape: &Scrape<'_>, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        // The encoder appends the unit to a name.
        let name = self.unit.and_then(|unit| self.name.strip_suffix(unit)?.strip_suffix('_')).unwrap_or(self.name);
        let unit = self.unit.map(|unit| Unit::Other(unit.to_owned()));
        let help = format!("{}.", self.help);
        let mut family = encoder.encode_descriptor(name, &help, unit.as_ref(), self.kind.into())?;
        let mut result = Ok(());
        (self.read)(scrape, &mut |values, value| {
            let labels: Vec<_> = self.labels.iter().copied().zip(values.iter().copied()).collect();
            if result.is_ok() {
                result = self.series(&mut family, &labels, &value);
            }
        });
        result
    }

    fn series(
        &self,
        family: &mut MetricEncoder<'_>,
        labels: &[(&str, &str)],
        value: &Value<'_>,
    ) -> Result<(), std::fmt::Error> {
        match value {
            Value::Info => family.encode_info(&labels),
            Value::Histogram(histogram) => histogram.encode(family.encode_family(&labels)?),
            // A family without labels would be written as `name{}`.
            Value::Number(value) if labels.is_empty() => self.number(family, *value),
            Value::Number(value) => self.number(&mut family.encode_family(&labels)?, *value),
        }
    }

    fn number(&self, series: &mut MetricEncoder<'_>, value: f64) -> Result<(), std::fmt::Error> {
        match self.kind {
            Kind::Counter => series.encode_counter::<NoLabelSet, _, f64>(&value, None),
            _ => series.encode_gauge(&value),
        }
    }
}

impl From<Kind> for MetricType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter,
            Kind::Gauge => Self::Gauge,
            Kind::Histogram => Self::Histogram,
            Kind::Info => Self::Info,
        }
    }
}
