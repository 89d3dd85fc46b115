//! The numbers of the log of connections.

use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers of the log of connections since the start.
#[derive(Debug, Default)]
pub(crate) struct ConnectionLogCounts {
    lines: AtomicU64,
    left_out: AtomicU64,
    unknown: AtomicU64,
    overruns: AtomicU64,
}

impl ConnectionLogCounts {
    pub(crate) fn add_line(&self) {
        self.lines.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_left_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn add_unknown(&self, connections: u64) {
        self.unknown.fetch_add(connections, Ordering::Relaxed);
    }

    pub(crate) fn add_overrun(&self) {
        self.overruns.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of connections that were logged.
    pub(crate) fn lines(&self) -> u64 {
        self.lines.load(Ordering::Relaxed)
    }

    /// Returns the number of connections that were left out because more ended than may be logged.
    pub(crate) fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Returns the number of connections that ended and of which not even the backend is known.
    pub(crate) fn unknown(&self) -> u64 {
        self.unknown.load(Ordering::Relaxed)
    }

    /// Returns how often the kernel had to drop announcements.
    pub(crate) fn overruns(&self) -> u64 {
        self.overruns.load(Ordering::Relaxed)
    }
}
