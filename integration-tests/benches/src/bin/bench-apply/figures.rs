use std::{collections::BTreeMap, fmt, time::Duration};

use ilb_benches::figures::percentile;
use serde::Serialize;

/// What was measured, by number of backends.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) backends: BTreeMap<u16, Row>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// From the call of `apply` to its proof, with a default certificate in the configuration.
    pub(crate) apply_ms: Summary,
    /// The same bytes by a bare socket, and polling for the revision.
    pub(crate) floor_ms: Summary,
    /// Median of the one by median of the other.
    pub(crate) ratio: f64,
    /// Median without the certificate: Traefik makes a key each time.
    pub(crate) apply_without_certificate_ms: f64,
    /// Of one `PUT`.
    pub(crate) bytes: usize,
    /// Of one `apply`: how often memory was taken.
    pub(crate) allocations: usize,
    /// Of one `apply`: how many bytes of memory were taken, all in all.
    pub(crate) allocated_bytes: usize,
}

#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

impl Summary {
    pub(crate) fn of(samples: Vec<Duration>) -> Self {
        let ms: Vec<f64> = samples.into_iter().map(|d| (d.as_secs_f64() * 100_000.0).round() / 100.0).collect();
        let at = |percent| percentile(ms.clone(), percent).unwrap_or_default();
        Self { p50: at(50), p99: at(99) }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "ms from the call to the proof, median / 99 %")?;
        writeln!(
            f,
            "{:>8} {:>17} {:>17} {:>6} {:>16} {:>9} {:>12}",
            "backends", "apply", "floor", "ratio", "no certificate", "bytes", "allocations"
        )?;
        for (backends, row) in &self.backends {
            let cell = |summary: &Summary| format!("{:.1} / {:.1}", summary.p50, summary.p99);
            writeln!(
                f,
                "{backends:>8} {:>17} {:>17} {:>6.2} {:>16.1} {:>9} {:>12}",
                cell(&row.apply_ms),
                cell(&row.floor_ms),
                row.ratio,
                row.apply_without_certificate_ms,
                row.bytes,
                row.allocations
            )?;
        }
        Ok(())
    }
}
