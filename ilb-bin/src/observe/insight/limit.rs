//! The facts about the limit of connections of a pool.

use std::time::Duration;

use ilb_reconciler::least_connections::{LimitState, Overflow};
use tokio::time::Instant;

/// Limit of the connections of a pool, as it was at the last sample.
#[derive(Clone, Debug, Default)]
pub(crate) struct LimitFacts {
    /// The state; `None` if there is no limit for one of the backends.
    pub(crate) state: Option<LimitState>,
    /// Number of times that the pool has become full.
    pub(crate) times_full: u64,
    /// Time for which it has been full, up to the last sample.
    pub(crate) time_full: Duration,
    /// Moment of the last sample at which it was full.
    full_at: Option<Instant>,
}

impl LimitFacts {
    pub(super) fn sampled(&mut self, state: Option<LimitState>, now: Instant) {
        let is_full = |state: &Option<LimitState>| state.is_some_and(|state| state.is_full);
        self.times_full += u64::from(is_full(&state) && !is_full(&self.state));
        if let Some(before) = self.full_at {
            self.time_full += now.saturating_duration_since(before);
        }
        self.full_at = is_full(&state).then_some(now);
        self.state = state;
    }

    /// Returns what becomes of new connections, if the pool is full.
    pub(crate) fn consequence(&self) -> Option<&'static str> {
        let state = self.state.filter(|state| state.is_full)?;
        Some(match state.overflow {
            Overflow::Refuse => "new connections are closed at once",
            Overflow::Spread => "new connections go to all backends nevertheless",
        })
    }
}
