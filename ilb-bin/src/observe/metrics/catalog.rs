//! The list of all metrics.

use super::{backend, closing, connection_log, metric::Metric, pool, process, settings, siblings, traefik};

/// Returns all metrics, in the order of the document.
pub(super) fn all() -> impl Iterator<Item = &'static Metric> {
    let of_pools = [pool::METRICS, backend::METRICS, closing::METRICS, siblings::METRICS];
    [traefik::METRICS]
        .into_iter()
        .chain(of_pools)
        .chain([connection_log::METRICS, settings::METRICS, process::METRICS])
        .flatten()
}
