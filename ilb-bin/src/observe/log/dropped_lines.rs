//! The log of the lines that the log itself has lost.

use std::time::Duration;

use tokio::time::Instant;

use crate::process::logging::DroppedLines;

/// Logs once a minute how many lines were dropped, as far as that line comes through.
#[derive(Debug)]
pub(super) struct DroppedLinesLog {
    dropped: DroppedLines,
    /// Number of dropped lines at the last look.
    seen: u64,
    looked: Instant,
}

impl DroppedLinesLog {
    /// Time from one look to the next.
    const INTERVAL: Duration = Duration::from_secs(60);

    pub(super) fn new(dropped: DroppedLines, now: Instant) -> Self {
        Self { dropped, seen: 0, looked: now }
    }

    pub(super) fn sum_up(&mut self, now: Instant) {
        if now.saturating_duration_since(self.looked) < Self::INTERVAL {
            return;
        }
        self.looked = now;
        let dropped = self.dropped.get();
        let lines = dropped - std::mem::replace(&mut self.seen, dropped);
        if lines > 0 {
            tracing::warn!(lines, "Log lines were dropped: the reader of stderr does not keep up");
        }
    }
}
