//! The description of a metric.

use super::{scrape::Scrape, series::Series};

/// A metric: a family of series with one name.
pub(super) struct Metric {
    /// Name with the unit, and without the suffix `_total` of a counter.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) unit: Option<&'static str>,
    /// Sentence without its full stop, which the format adds.
    pub(super) help: &'static str,
    pub(super) labels: &'static [&'static str],
    /// Passes on the values of all series.
    pub(super) read: fn(&Scrape<'_>, &mut Series<'_>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
    Info,
}
