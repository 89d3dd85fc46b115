//! The delays of changes, and how they are shown.

use std::{collections::BTreeMap, fmt, time::Duration};

use ilb_benches::statistics::median;
use serde::Serialize;

/// The samples with one number of backends.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    pub(crate) add_ms: Vec<Duration>,
    pub(crate) remove_ms: Vec<Duration>,
    pub(crate) remove_in_force_ms: Vec<Duration>,
    pub(crate) burst_ms: Vec<Duration>,
    pub(crate) burst_reloads: Vec<u32>,
}

/// Summaries of all samples, by number of backends.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Delays {
    backends: BTreeMap<u16, Row>,
}

/// The delays with one number of backends.
#[derive(Debug, Serialize)]
struct Row {
    add_ms: Summary,
    /// Delay of the last connection that went to a removed backend.
    remove_ms: Summary,
    /// Delay of the first connection that only the configuration without it can have produced.
    remove_in_force_ms: Summary,
    burst_ms: Summary,
    burst_reloads: f64,
}

/// Many samples in two numbers, in milliseconds.
#[derive(Debug, Serialize)]
struct Summary {
    p50: f64,
    max: f64,
}

impl Delays {
    pub(crate) fn add(&mut self, backends: u16, samples: Samples) {
        let row = Row {
            add_ms: Summary::from_samples(samples.add_ms),
            remove_ms: Summary::from_samples(samples.remove_ms),
            remove_in_force_ms: Summary::from_samples(samples.remove_in_force_ms),
            burst_ms: Summary::from_samples(samples.burst_ms),
            burst_reloads: median(samples.burst_reloads.into_iter().map(f64::from).collect()),
        };
        self.backends.insert(backends, row);
    }
}

impl Summary {
    fn from_samples(samples: Vec<Duration>) -> Self {
        let ms: Vec<f64> = samples.into_iter().map(|d| (d.as_secs_f64() * 10_000.0).round() / 10.0).collect();
        Self { max: ms.iter().copied().fold(0.0, f64::max), p50: median(ms) }
    }
}

impl fmt::Display for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "ms after the API server's answer, median / max")?;
        writeln!(
            f,
            "{:>8} {:>14} {:>14} {:>17} {:>14} {:>8}",
            "backends", "added", "removed: last", "removed: in force", "burst of 100", "reloads"
        )?;
        for (backends, row) in &self.backends {
            let cell = |s: &Summary| format!("{:.1} / {:.1}", s.p50, s.max);
            writeln!(
                f,
                "{backends:>8} {:>14} {:>14} {:>17} {:>14} {:>8.0}",
                cell(&row.add_ms),
                cell(&row.remove_ms),
                cell(&row.remove_in_force_ms),
                cell(&row.burst_ms),
                row.burst_reloads
            )?;
        }
        Ok(())
    }
}
