//! Circuit breaker: decides *when* the next attempt at one Traefik is due, and when to leave it alone.
//!
//! `Pushes` of the crate `ilb-reconciler` pauses after failures as well, and the two are separate on purpose. `Pushes`
//! decides *what* to do next: it holds the desired, the pushed and the acknowledged configuration of one controller,
//! schedules proofs, and repeats a push after at most half a second (5 s if it was refused), since an attempt at the
//! Traefik of the own pod costs one refused connection. A `Breaker` holds no configuration. It judges one instance of a
//! fleet by its failures in a row, lets the fleet go on without an instance that is down, and pauses for up to 5 s and as
//! much jitter, since many clients may have lost the same remote Traefik at the same moment. A controller with a fleet has
//! both: `Pushes` repeats [`Fleet::apply`](crate::Fleet), which does not wait for an instance whose breaker is open. All
//! that they share is a call of `backon`, which is no reason for one crate to depend on the other.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// A circuit breaker for repeated attempts at one Traefik.
///
/// It is *closed* while attempts succeed or have failed only a few times in a row: the next attempt waits for a short
/// pause, and an attempt with something new does not wait at all. After [`FAILURES_TO_OPEN`](Self::FAILURES_TO_OPEN)
/// failures in a row it is *open*: no attempt is due before the end of the pause. Then it is *half-open* for one attempt,
/// which closes it or opens it again, for longer.
///
/// It has no clock and performs no I/O: the caller passes `now`, and makes the attempts.
///
/// ```
/// use std::time::Instant;
///
/// use ilb_traefik_client::breaker::Breaker;
///
/// let now = Instant::now();
/// let mut breaker = Breaker::new();
/// assert_eq!(breaker.paused_until(now), None);
/// breaker.failed(now);
/// assert!(breaker.paused_until(now).is_some());
/// breaker.skip_pause();
/// assert_eq!(breaker.paused_until(now), None);
/// breaker.succeeded();
/// ```
#[derive(Debug)]
pub struct Breaker {
    /// Failures in a row.
    failures: u32,
    pause_until: Option<Instant>,
    pauses: ExponentialBackoff,
}

/// State of a [`Breaker`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BreakerState {
    /// The other side works, as far as is known.
    Closed,
    /// The other side is left alone for a while.
    Open {
        /// End of the pause.
        until: Instant,
    },
    /// A single attempt, due or under way, finds out whether the other side works again.
    HalfOpen,
}

impl Breaker {
    /// Number of failures in a row that open the breaker.
    pub const FAILURES_TO_OPEN: u32 = 3;

    /// Pause after the first failure, before jitter; each further failure doubles it.
    pub const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

    /// Maximum pause before jitter, which adds up to as much again: a recovery is noticed after 10 s at the latest.
    pub const LONGEST_PAUSE: Duration = Duration::from_secs(5);

    /// Creates a closed breaker.
    pub fn new() -> Self {
        Self { failures: 0, pause_until: None, pauses: pauses() }
    }

    /// Returns the end of the pause before the next attempt, or `None` if it is due at `now`.
    pub fn paused_until(&self, now: Instant) -> Option<Instant> {
        self.pause_until.filter(|until| *until > now)
    }

    /// Ends the pause of a closed breaker, because the next attempt is with something new, which may succeed. The pause
    /// of an open breaker stays.
    pub fn skip_pause(&mut self) {
        if self.failures < Self::FAILURES_TO_OPEN {
            self.pause_until = None;
        }
    }

    /// Records that an attempt succeeded.
    pub fn succeeded(&mut self) {
        *self = Self::new();
    }

    /// Records that an attempt failed at `now`.
    pub fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        // The sequence has no end; if it had one, the longest pause would be right.
        self.pause_until = Some(now + self.pauses.next().unwrap_or(Self::LONGEST_PAUSE));
    }

    /// Returns the state at `now`.
    pub fn state(&self, now: Instant) -> BreakerState {
        match self.paused_until(now) {
            _ if self.failures < Self::FAILURES_TO_OPEN => BreakerState::Closed,
            Some(until) => BreakerState::Open { until },
            None => BreakerState::HalfOpen,
        }
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self::new()
    }
}

fn pauses() -> ExponentialBackoff {
    // With jitter: several instances, or several clients of one, may have lost each other at the same moment.
    ExponentialBuilder::default()
        .with_min_delay(Breaker::SHORTEST_PAUSE)
        .with_max_delay(Breaker::LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests;
