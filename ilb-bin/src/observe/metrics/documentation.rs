//! The document of all metrics, `docs/metrics.md`.

use std::fmt::Write as _;

use super::{
    catalog::all,
    metric::{Kind, Metric},
    scrape::MAX_BACKENDS_WITH_SERIES,
};

/// Useful queries: what each answers, and its text.
pub(super) const QUERIES: [(&str, &str); 12] = [
    ("Levels of all pods", "max by (namespace, pod, level) (ilb_level) == 1"),
    ("Pools whose clients may be hurt, and why", "max by (namespace, pool, reason) (ilb_pool_degraded)"),
    (
        "Connections of each backend, over all replicas, by the name of its pod",
        "sum by (namespace, pool, backend_pod) (ilb_backend_connections * on (namespace, pod, pool, backend) group_left \
         (backend_pod) ilb_backend_info)",
    ),
    (
        "Connections of each node",
        "sum by (backend_node) (ilb_backend_connections * on (namespace, pod, pool, backend) group_left (backend_node) \
         ilb_backend_info)",
    ),
    ("Connections of each pool", "sum by (namespace, pool) (ilb_backend_connections)"),
    ("New connections per second", "sum by (namespace, pool) (rate(ilb_backend_connections_opened_total[5m]))"),
    ("Bytes per second", "sum by (namespace, pool) (rate(ilb_backend_bytes_total[5m]))"),
    (
        "Failed dials per second, by backend",
        "sum by (namespace, pool, backend) (rate(ilb_backend_connections_unanswered_total[5m])) > 0",
    ),
    (
        "How far the fullest backend is above the mean, over all replicas",
        "max by (namespace, pool) (sum by (namespace, pool, backend) (ilb_backend_connections)) / avg by (namespace, pool) \
         (sum by (namespace, pool, backend) (ilb_backend_connections)) - 1",
    ),
    ("Pushes per minute", "sum by (namespace, pod, reason) (rate(ilb_pushes_total[5m])) * 60"),
    (
        "Time from a change of the backends to its verification, 99th percentile",
        "histogram_quantile(0.99, sum by (namespace, pool, le) (rate(ilb_pool_change_to_in_force_seconds_bucket[15m])))",
    ),
    ("Pods that refuse their changed settings", "ilb_config_last_reload_successful == 0"),
];

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
    text += "\n## Queries\n\n\
        A backend is counted by each replica before it, so sums over `pod` are the truth. The chart's alerts and dashboard\n\
        (`metrics.prometheusRule`, `metrics.dashboard`) ask more.\n";
    for (answer, query) in QUERIES {
        let _ = write!(text, "\n{answer}:\n\n```promql\n{query}\n```\n");
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
