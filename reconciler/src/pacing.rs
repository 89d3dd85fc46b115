//! The pacing of least connections, as its user chooses it.

use std::time::Duration;

/// Pacing of [`LeastConnections`](crate::LeastConnections): how often it counts, and how fast new backends fill up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pacing {
    /// Maximum time between two samples. A longer one than [`LONGEST_SAMPLE_PERIOD`](Self::LONGEST_SAMPLE_PERIOD) counts
    /// as that. Siblings need counts that are at most [5 s](crate::siblings::SILENT_AFTER) old.
    pub max_sample_period: Duration,
    /// Time after which a new backend has its whole share; zero for at once. With few backends a slow start keeps the
    /// others unbalanced for longer than it helps, so it is off by default.
    pub slow_start: Duration,
}

impl Default for Pacing {
    /// Returns at most a second between two samples, and no slow start.
    fn default() -> Self {
        Self { max_sample_period: Duration::from_secs(1), slow_start: Duration::ZERO }
    }
}

impl Pacing {
    /// Longest time between two samples: a day. Every clock can show a moment that is later by this.
    pub const LONGEST_SAMPLE_PERIOD: Duration = Duration::from_secs(24 * 3600);

    /// Replaces the maximum time between two samples.
    #[must_use]
    pub fn with_max_sample_period(self, max_sample_period: Duration) -> Self {
        Self { max_sample_period, ..self }
    }

    /// Replaces the time after which a new backend has its whole share.
    #[must_use]
    pub fn with_slow_start(self, slow_start: Duration) -> Self {
        Self { slow_start, ..self }
    }
}
