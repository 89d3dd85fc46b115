//! The costs of following pods, and how they are shown.

use std::{fmt, time::Duration};

use ilb_benches::statistics::percentile;
use serde::{Deserialize, Serialize};

/// All measurements.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Costs {
    pub(crate) pods: usize,
    /// Size of one pod as the API server sends it.
    pub(crate) json_bytes_per_pod: usize,
    /// Time from the first request to the first set.
    pub(crate) sync_ms: f64,
    /// Resident memory of the whole process, a second after that.
    pub(crate) rss_mb: f64,
    pub(crate) peak_rss_mb: f64,
    /// Heap that is kept for one pod, its part of the published set included.
    pub(crate) heap_bytes_per_pod: usize,
    /// Time from sending a status to the set that shows it, which includes the work of the API server.
    pub(crate) event_to_set_us: Percentiles,
    /// Processor time for an event that changes nothing, from the socket on.
    pub(crate) unchanged_event_us: f64,
    /// Processor time for walking through the JSON of one pod without keeping anything, for comparison.
    pub(crate) skipped_event_us: f64,
}

/// Many samples in two numbers, in microseconds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Percentiles {
    pub(crate) p50: u128,
    pub(crate) p99: u128,
}

impl Percentiles {
    pub(crate) fn from_samples(samples: Vec<Duration>) -> Self {
        let micros: Vec<_> = samples.into_iter().map(|d| d.as_micros()).collect();
        let at = |percent| percentile(micros.clone(), percent).unwrap_or_default();
        Self { p50: at(50), p99: at(99) }
    }
}

impl fmt::Display for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("pods", self.pods.to_string()),
            ("size of a pod as JSON", format!("{} bytes", self.json_bytes_per_pod)),
            ("list to first set", format!("{:.0} ms", self.sync_ms)),
            ("resident memory, after the list / peak", format!("{:.1} / {:.1} MB", self.rss_mb, self.peak_rss_mb)),
            ("heap per pod", format!("{} bytes", self.heap_bytes_per_pod)),
            (
                "status sent to set published, p50 / p99",
                format!("{} / {} µs", self.event_to_set_us.p50, self.event_to_set_us.p99),
            ),
            ("event that changes nothing", format!("{:.1} µs of processor time", self.unchanged_event_us)),
            ("its JSON walked through, keeping nothing", format!("{:.1} µs of processor time", self.skipped_event_us)),
        ];
        rows.iter().try_for_each(|(name, value)| writeln!(f, "{name:<40} {value:>28}"))
    }
}
