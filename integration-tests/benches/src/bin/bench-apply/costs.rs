//! The costs of pushes, and how they are shown.

use std::{collections::BTreeMap, fmt, time::Duration};

use ilb_benches::statistics::percentile;
use serde::Serialize;

/// All measurements, by number of backends.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Costs {
    pub(crate) backends: BTreeMap<u16, Row>,
}

/// The measurements with one number of backends.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// Time from the call of `apply` to its proof, with a default certificate in the configuration.
    pub(crate) apply_ms: Summary,
    /// Time for the same bytes by a bare socket, until the revision is there.
    pub(crate) floor_ms: Summary,
    /// Median of `apply` divided by the median of the floor.
    pub(crate) ratio: f64,
    /// Median without the certificate, for which Traefik generates a key each time.
    pub(crate) apply_without_certificate_ms: f64,
    /// Bytes of one `PUT`.
    pub(crate) bytes: usize,
    /// Number of allocations in one `apply`.
    pub(crate) allocations: usize,
    /// Bytes of all allocations in one `apply`.
    pub(crate) allocated_bytes: usize,
    /// Processor time of the real ilb for a push, in ms, while 50 pods change in a second: watching, counting, deciding,
    /// pushing, proving and showing.
    pub(crate) cpu_ms_per_push: f64,
    /// Number of those changes that one push contains.
    pub(crate) changes_per_push: f64,
}

/// Many samples in two numbers, in milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Summary {
    pub(crate) fn from_samples(samples: Vec<Duration>) -> Self {
        let ms: Vec<f64> = samples.into_iter().map(|d| (d.as_secs_f64() * 100_000.0).round() / 100.0).collect();
        let at = |percent| percentile(ms.clone(), percent).unwrap_or_default();
        Self { p50: at(50), p99: at(99) }
    }
}

impl fmt::Display for Costs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "ms from the call to the proof, median / 99 %; processor time of the real ilb for a push, with its changes"
        )?;
        writeln!(
            f,
            "{:>8} {:>17} {:>17} {:>6} {:>16} {:>9} {:>12} {:>14}",
            "backends", "apply", "floor", "ratio", "no certificate", "bytes", "allocations", "cpu / changes"
        )?;
        for (backends, row) in &self.backends {
            let cell = |summary: &Summary| format!("{:.1} / {:.1}", summary.p50, summary.p99);
            writeln!(
                f,
                "{backends:>8} {:>17} {:>17} {:>6.2} {:>16.1} {:>9} {:>12} {:>14}",
                cell(&row.apply_ms),
                cell(&row.floor_ms),
                row.ratio,
                row.apply_without_certificate_ms,
                row.bytes,
                row.allocations,
                format!("{:.2} / {:.1}", row.cpu_ms_per_push, row.changes_per_push)
            )?;
        }
        Ok(())
    }
}
