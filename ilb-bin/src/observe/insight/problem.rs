//! A problem that lasts, as the status shows it: since when, how often, and the last error.
//!
//! It decides nothing. `Pushes` and `Breaker` in the libraries decide when to try again, and `Trouble` in the log decides
//! when the log repeats itself; each of them counts over a period of its own, and this one counts until the problem is
//! over.

use tokio::time::Instant;

/// A problem that has not been solved yet.
#[derive(Clone, Debug)]
pub(crate) struct OngoingProblem {
    /// The kind of the last error, as in the metrics.
    pub(crate) kind: &'static str,
    /// The last error.
    pub(crate) text: String,
    /// The moment of the first error.
    pub(crate) since: Instant,
    /// Number of errors since then.
    pub(crate) attempts: u64,
}

impl OngoingProblem {
    /// Returns the problem after one more error; `before` is the problem until now.
    pub(super) fn after(before: Option<Self>, kind: &'static str, text: String, now: Instant) -> Self {
        let (since, attempts) = before.map_or((now, 0), |before| (before.since, before.attempts));
        Self { kind, text, since, attempts: attempts + 1 }
    }
}
