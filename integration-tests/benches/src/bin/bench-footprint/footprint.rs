//! The footprint of ilb, and how it is shown.

use std::fmt;

use serde::Serialize;

use crate::usage::Usage;

/// All measurements.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Footprint {
    pub(crate) idle: Usage,
    pub(crate) backends_1000: Usage,
    pub(crate) backends_10000: Usage,
    /// Usage under ten changes a second.
    pub(crate) churn: Usage,
    /// Usage with the log of connections, of which none ends.
    pub(crate) connection_log: Usage,
    /// Median time from the start of the process to its first proof.
    pub(crate) start_to_in_force_ms: f64,
    pub(crate) binary_mb: f64,
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24} {:>8} {:>12}", "", "memory", "of a core")?;
        for (what, usage) in [
            ("idle, 10 backends", &self.idle),
            ("10 changes a second", &self.churn),
            ("1 000 backends", &self.backends_1000),
            ("10 000 backends", &self.backends_10000),
            ("idle, connection log", &self.connection_log),
        ] {
            writeln!(f, "{what:<24} {:>5.1} MB {:>10.2} %", usage.rss_mb, usage.cpu_percent)?;
        }
        writeln!(f, "start to in force: {:.0} ms (bar: 300)", self.start_to_in_force_ms)?;
        writeln!(f, "binary: {:.1} MB (bar: 12)", self.binary_mb)?;
        write!(f, "bars: 15 MB and 0.2 % idle, 40 MB with 10 000 backends")
    }
}
