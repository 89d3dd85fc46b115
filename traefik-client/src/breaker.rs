use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// A circuit breaker with room for one wish: when to try, and when to leave the other side alone.
///
/// It is *closed* while attempts succeed or have failed only a few times in a row: a repetition comes after a short
/// pause, a new wish at once. After [`THRESHOLD`](Self::THRESHOLD) failures in a row it is *open*: nothing is tried
/// before the pause is over, new wish or not. Then it is *half-open* for one attempt, whose outcome closes it or opens
/// it again, for longer. The latest wish is kept through all of it until an attempt with it succeeds.
///
/// It holds no clock and does nothing itself: the caller passes `now`, and does what [`next`](Self::next) says.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use ilb_traefik_client::{Breaker, Next};
///
/// let now = Instant::now();
/// let mut breaker = Breaker::new();
/// breaker.wish("a");
/// assert_eq!(breaker.next(now), Next::Try("a"));
/// breaker.failed(now);
/// breaker.wish("b");
/// assert_eq!(breaker.next(now), Next::Try("b"));
/// breaker.succeeded();
/// assert_eq!(breaker.next(now), Next::Idle);
/// ```
#[derive(Debug)]
pub struct Breaker<W> {
    /// The latest wish, until it is fulfilled.
    wished: Option<W>,
    /// Whether an attempt is under way, and nothing newer has been wished since.
    attempt: Attempt,
    failures: u32,
    /// Before this moment there is no repetition.
    pause_until: Option<Instant>,
    pauses: ExponentialBackoff,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    None,
    WithLatest,
    WithOlder,
}

/// What the caller has to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next<W> {
    /// Try this, then say [`succeeded`](Breaker::succeeded) or [`failed`](Breaker::failed).
    Try(W),
    /// Nothing before this moment, unless something else is wished.
    WaitUntil(Instant),
    /// Nothing until something is wished, or the attempt under way is over.
    Idle,
}

/// What a breaker thinks of the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BreakerState {
    /// It answers, as far as is known.
    Closed,
    /// It is left alone until then.
    Open {
        /// The end of the pause.
        until: Instant,
    },
    /// One attempt is due, or under way, to see whether it has come back.
    HalfOpen,
}

impl<W> Breaker<W> {
    /// Failures in a row that open it.
    pub const THRESHOLD: u32 = 3;

    /// The pause after the first failure; each further one doubles it.
    pub const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

    /// The longest pause: what a recovered other side is noticed late by, at most.
    pub const LONGEST_PAUSE: Duration = Duration::from_secs(5);

    /// Closed, without a wish.
    pub fn new() -> Self {
        Self { wished: None, attempt: Attempt::None, failures: 0, pause_until: None, pauses: pauses() }
    }

    /// Replaces the wish.
    pub fn wish(&mut self, wish: W) {
        self.wished = Some(wish);
        if self.attempt == Attempt::WithLatest {
            self.attempt = Attempt::WithOlder;
        }
        if self.failures < Self::THRESHOLD {
            self.pause_until = None;
        }
    }

    /// What is wished and not fulfilled yet.
    pub fn wished(&self) -> Option<&W> {
        self.wished.as_ref()
    }

    /// The attempt under way fulfilled its wish.
    pub fn succeeded(&mut self) {
        if self.attempt == Attempt::WithLatest {
            self.wished = None;
        }
        *self = Self { wished: self.wished.take(), ..Self::new() };
    }

    /// The attempt under way failed.
    pub fn failed(&mut self, now: Instant) {
        let newer_wish = self.attempt == Attempt::WithOlder;
        self.attempt = Attempt::None;
        self.failures = self.failures.saturating_add(1);
        // The sequence has no end; were it to have one, the longest pause would be right.
        let until = now + self.pauses.next().unwrap_or(Self::LONGEST_PAUSE);
        let at_once = newer_wish && self.failures < Self::THRESHOLD;
        self.pause_until = (!at_once).then_some(until);
    }

    /// What it thinks of the other side at `now`.
    pub fn state(&self, now: Instant) -> BreakerState {
        match self.pause_until {
            _ if self.failures < Self::THRESHOLD => BreakerState::Closed,
            Some(until) if self.attempt == Attempt::None && until > now => BreakerState::Open { until },
            _ => BreakerState::HalfOpen,
        }
    }
}

impl<W: Clone> Breaker<W> {
    /// What to do at `now`.
    pub fn next(&mut self, now: Instant) -> Next<W> {
        match (&self.wished, self.pause_until) {
            _ if self.attempt != Attempt::None => Next::Idle,
            (None, _) => Next::Idle,
            (Some(_), Some(until)) if until > now => Next::WaitUntil(until),
            (Some(wish), _) => {
                self.attempt = Attempt::WithLatest;
                Next::Try(wish.clone())
            }
        }
    }
}

impl<W> Default for Breaker<W> {
    fn default() -> Self {
        Self::new()
    }
}

fn pauses() -> ExponentialBackoff {
    let (shortest, longest) = (Breaker::<()>::SHORTEST_PAUSE, Breaker::<()>::LONGEST_PAUSE);
    // With jitter: several instances, or several clients of one, may have lost each other at the same moment.
    ExponentialBuilder::default()
        .with_min_delay(shortest)
        .with_max_delay(longest)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests;
