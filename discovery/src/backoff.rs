//! Growing pauses between attempts.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Pauses between attempts: 0.2 s, doubling up to 5 s, each with random jitter, without end.
///
/// kube's own default neither grows while listing fails nor stays below a minute while opening a watch fails. Both are
/// wrong for a load balancer: many of them must not retry at the same time, and each must recover within seconds.
pub(crate) struct Backoff(ExponentialBackoff);

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const MAX_PAUSE: Duration = Duration::from_secs(5);
/// Maximum pause that a source can demand, whatever it says and wherever it says it.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);

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

    /// Returns the pause before the next attempt after the source has demanded `retry_after`.
    ///
    /// Many clients may have been refused at the same time: the pause on top of it spreads their attempts.
    pub(crate) fn pause_after(&mut self, retry_after: Option<Duration>) -> Duration {
        self.pause() + retry_after.unwrap_or_default().min(MAX_RETRY_AFTER)
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

    #[test]
    fn no_two_clients_make_the_same_pauses_and_none_repeats_its_own() {
        let pauses = |backoff: &mut Backoff| (0..20).map(|_| backoff.pause()).collect::<Vec<_>>();
        let (mut one, mut other) = (Backoff::new(), Backoff::new());
        let first = pauses(&mut one);
        assert_ne!(first, pauses(&mut other));
        one.reset();
        assert_ne!(first, pauses(&mut one), "after a reset");
    }

    #[test]
    fn a_pause_that_is_demanded_is_kept_up_to_half_a_minute() {
        let demanded = |seconds| Backoff::new().pause_after(Some(Duration::from_secs(seconds)));
        assert!(demanded(7) >= Duration::from_secs(7) && demanded(7) <= Duration::from_secs(7) + FIRST_PAUSE);
        assert!(demanded(u64::MAX) >= MAX_RETRY_AFTER && demanded(u64::MAX) <= MAX_RETRY_AFTER + FIRST_PAUSE);
        assert!(Backoff::new().pause_after(None) <= FIRST_PAUSE);
    }
}
