//! The list of all metrics.

use super::{backend, closing, metric::Metric, pool, process, settings, traefik};

/// Returns all metrics, in the order of the document.
pub(super) fn all() -> impl Iterator<Item = &'static Metric> {
    [traefik::METRICS, pool::METRICS, backend::METRICS, closing::METRICS, settings::METRICS, process::METRICS]
        .into_iter()
        .flatten()
}
