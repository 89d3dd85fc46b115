//! The document of all metrics, `docs/metrics.md`.

use std::fmt::Write as _;

use super::{
    catalog::all,
    metric::{Kind, Metric},
    scrape::MAX_BACKENDS_WITH_SERIES,
};

/// Writes the text of `docs/metrics.md`.
pub(super) fn document() -> String {
    let mut text = format!(
        "# Metrics\n\n\
        <!-- Written by a test of ilb-bin from ilb-bin/src/observe/metrics: UPDATE_DOCS=1 cargo test -p ilb-bin metrics -->\n\n\
        `http://POD:8081/metrics` answers in the text format of OpenMetrics 1.0.0 if the `Accept` header names that and does\n\
        not prefer plain text, as the one of Prometheus does, and otherwise in the classic format of Prometheus (0.0.4).\n\
        Series of a backend end with the backend. The first {MAX_BACKENDS_WITH_SERIES} backends of a pool have series of\n\
        their own.\n\n\
        | name | type | labels | meaning |\n|---|---|---|---|\n"
    );
    for metric in all() {
        let labels: Vec<_> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            metric.full_name(),
            metric.kind.name(),
            labels.join(", "),
            metric.help
        );
    }
    text
}

impl Metric {
    /// Returns the name as it is written in a query.
    pub(super) fn full_name(&self) -> String {
        match self.kind {
            Kind::Counter => format!("{}_total", self.name),
            Kind::Info => format!("{}_info", self.name),
            Kind::Gauge | Kind::Histogram => self.name.to_owned(),
        }
    }
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Info => "info",
        }
    }
}
