//! Growing pauses between attempts.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Pauses between attempts: 0.2 s, doubling up to 5 s, each with jitter, without end.
///
/// kube's own default neither grows while listing fails nor stays below a minute while opening a watch fails. Both are
/// wrong for a load balancer: many of them must not retry at the same time, and each must recover within seconds.
pub(crate) struct Backoff(ExponentialBackoff);

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(5);

impl Backoff {
    pub(crate) fn new() -> Self {
        // The library's jitter adds up to one whole pause: half of ours as its base keeps the sum within the bound.
        let builder = ExponentialBuilder::default().with_min_delay(FIRST_PAUSE / 2).with_max_delay(MAX_PAUSE / 2);
        Self(builder.with_jitter().without_max_times().build())
    }

    /// Returns the pause before the next attempt.
    pub(crate) fn pause(&mut self) -> Duration {
        self.0.next().unwrap_or(MAX_PAUSE)
    }

    /// Starts from the first pause again, after a success.
    pub(crate) fn reset(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_seconds_and_never_end() {
        let mut backoff = Backoff::new();
        let pauses: Vec<_> = (0..100).map(|_| backoff.pause()).collect();
        assert!(pauses[0] <= FIRST_PAUSE, "{:?}", pauses[0]);
        assert!(pauses.iter().all(|p| *p <= MAX_PAUSE));
        assert!(pauses[50..].iter().all(|p| *p >= MAX_PAUSE / 2));
    }
}
