use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// When to push, and when to prove again that the last push is still in force.
///
/// Holds what is wished, what is on its way and what is acknowledged, as far as the one caller that owns it has said.
/// There is one push at a time; while it runs, newer wishes replace each other. A failed push is repeated, with the wish
/// that is the latest by then. A proof that fails makes the acknowledged wish a wish again.
#[derive(Debug)]
pub struct Pushes<W> {
    wished: Option<W>,
    in_flight: Option<W>,
    acknowledged: Option<W>,
    /// When the acknowledged wish has to be proved again.
    proof_due: Option<Instant>,
    retry: Option<Retry>,
}

/// What the caller has to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next<W> {
    /// Push this, then say [`succeeded`](Pushes::succeeded) or [`failed`](Pushes::failed). A proof that is under way is
    /// pointless from now on.
    Push(W),
    /// Prove that the last push is still in force, then say [`proved`](Pushes::proved) or [`lost`](Pushes::lost).
    Prove,
    /// Nothing before this moment.
    WaitUntil(Instant),
    /// Nothing until something else is said.
    Idle,
}

/// How a push failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// The same push may succeed later: the other side is away, or slow.
    Retryable,
    /// The same push will fail again unless something else changes: it was refused.
    Permanent,
}

#[derive(Debug)]
struct Retry {
    failure: Failure,
    at: Instant,
    pauses: ExponentialBackoff,
}

impl<W> Pushes<W> {
    /// How often the last push is proved again. A Traefik that restarts on the spot is missed at most this long.
    pub const PROOF_INTERVAL: Duration = Duration::from_millis(500);

    /// How long the pause before a repetition may become. After an outage of the other side no more than this is lost,
    /// so it is short: an attempt costs one refused connection to the own pod.
    pub const LONGEST_PAUSE: Duration = Duration::from_millis(500);

    /// The same for what was refused, where a repetition helps only if somebody repairs the other side.
    pub const LONGEST_PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(5);

    /// Nothing wished, nothing acknowledged.
    pub fn new() -> Self {
        Self { wished: None, in_flight: None, acknowledged: None, proof_due: None, retry: None }
    }

    /// What is proved to be in force.
    pub fn acknowledged(&self) -> Option<&W> {
        self.acknowledged.as_ref()
    }

    /// Whether a push is under way.
    pub fn in_flight(&self) -> bool {
        self.in_flight.is_some()
    }
}

impl<W: Clone + PartialEq> Pushes<W> {
    /// Replaces the wish.
    pub fn wish(&mut self, wish: W) {
        if self.wished.as_ref() != Some(&wish) && self.retry.as_ref().is_some_and(|r| r.failure == Failure::Permanent) {
            self.retry = None; // another wish may well be accepted
        }
        self.wished = Some(wish);
    }

    /// What to do at `now`.
    pub fn next(&mut self, now: Instant) -> Next<W> {
        if self.in_flight.is_some() {
            return Next::Idle;
        }
        match &self.wished {
            Some(wish) if self.acknowledged.as_ref() != Some(wish) => match &self.retry {
                Some(retry) if retry.at > now => Next::WaitUntil(retry.at),
                _ => {
                    self.in_flight = Some(wish.clone());
                    Next::Push(wish.clone())
                }
            },
            _ => match self.proof_due {
                Some(due) if due <= now => {
                    self.proof_due = None;
                    Next::Prove
                }
                Some(due) => Next::WaitUntil(due),
                None => Next::Idle,
            },
        }
    }

    /// The push in flight is proved to be in force.
    pub fn succeeded(&mut self, now: Instant) {
        self.acknowledged = self.in_flight.take();
        self.retry = None;
        self.proved(now);
    }

    /// The push in flight failed: what is in force now is unknown.
    pub fn failed(&mut self, failure: Failure, now: Instant) {
        self.in_flight = None;
        self.acknowledged = None;
        self.proof_due = None;
        let mut pauses = match self.retry.take() {
            Some(retry) if retry.failure == failure => retry.pauses,
            _ => failure.pauses(),
        };
        // The sequence has no end; were it to have one, the longest pause would be right.
        let pause = pauses.next().unwrap_or(failure.longest_pause());
        self.retry = Some(Retry { failure, at: now + pause, pauses });
    }

    /// The last push is still in force.
    pub fn proved(&mut self, now: Instant) {
        self.proof_due = Some(now + Self::PROOF_INTERVAL);
    }

    /// The last push is not in force any more, or that cannot be told: it is wished again.
    pub fn lost(&mut self) {
        self.acknowledged = None;
        self.proof_due = None;
    }
}

impl<W> Default for Pushes<W> {
    fn default() -> Self {
        Self::new()
    }
}

impl Failure {
    fn pauses(self) -> ExponentialBackoff {
        let first = self.longest_pause() / 10;
        let builder = ExponentialBuilder::default().with_min_delay(first).with_max_delay(self.longest_pause());
        // No jitter: each controller has one Traefik of its own, there is no crowd to spread.
        builder.without_max_times().build()
    }

    fn longest_pause(self) -> Duration {
        match self {
            Self::Retryable => Pushes::<()>::LONGEST_PAUSE,
            Self::Permanent => Pushes::<()>::LONGEST_PAUSE_AFTER_REFUSAL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Pushes with `wish` in force since `now`.
    fn acknowledged(wish: u8, now: Instant) -> Pushes<u8> {
        let mut pushes = Pushes::new();
        pushes.wish(wish);
        assert_eq!(pushes.next(now), Next::Push(wish));
        pushes.succeeded(now);
        pushes
    }

    #[test]
    fn there_is_one_push_at_a_time_and_the_latest_wish_wins() {
        let now = Instant::now();
        let mut pushes = Pushes::new();
        assert_eq!(pushes.next(now), Next::Idle);
        pushes.wish(1);
        assert_eq!(pushes.next(now), Next::Push(1));
        pushes.wish(2);
        pushes.wish(3);
        assert_eq!(pushes.next(now), Next::Idle);
        pushes.succeeded(now);
        assert_eq!(pushes.acknowledged(), Some(&1));
        assert_eq!(pushes.next(now), Next::Push(3));
    }

    #[test]
    fn what_is_in_force_is_not_pushed_again() {
        let now = Instant::now();
        let mut pushes = acknowledged(1, now);
        pushes.wish(2);
        pushes.wish(1);
        assert_eq!(pushes.next(now), Next::WaitUntil(now + Pushes::<u8>::PROOF_INTERVAL));
    }

    #[test]
    fn a_failed_push_is_repeated_with_growing_pauses_and_the_latest_wish() {
        let mut now = Instant::now();
        let mut pushes = Pushes::new();
        pushes.wish(1);
        let mut pauses = Vec::new();
        for _ in 0..20 {
            assert_eq!(pushes.next(now), Next::Push(1));
            pushes.failed(Failure::Retryable, now);
            let Next::WaitUntil(at) = pushes.next(now) else { panic!("a pause is due") };
            pauses.push(at - now);
            now = at;
        }
        assert!(pauses.is_sorted());
        assert_eq!(pauses[0], Pushes::<u8>::LONGEST_PAUSE / 10);
        assert_eq!(pauses[19], Pushes::<u8>::LONGEST_PAUSE);
        pushes.wish(2);
        assert_eq!(pushes.next(now), Next::Push(2));
        pushes.succeeded(now);
        pushes.wish(3);
        assert_eq!(pushes.next(now), Next::Push(3));
        pushes.failed(Failure::Retryable, now);
        assert_eq!(pushes.next(now), Next::WaitUntil(now + pauses[0]), "a success starts the pauses anew");
    }

    #[test]
    fn what_was_refused_is_repeated_slowly_but_another_wish_goes_at_once() {
        let mut now = Instant::now();
        let mut pushes = Pushes::new();
        pushes.wish(1);
        for _ in 0..20 {
            assert_eq!(pushes.next(now), Next::Push(1));
            pushes.failed(Failure::Permanent, now);
            pushes.wish(1);
            let Next::WaitUntil(at) = pushes.next(now) else { panic!("a pause is due") };
            assert!(at - now <= 5 * SECOND);
            now = at;
        }
        assert_eq!(pushes.next(now), Next::Push(1));
        pushes.failed(Failure::Permanent, now);
        pushes.wish(2);
        assert_eq!(pushes.next(now), Next::Push(2));
    }

    #[test]
    fn a_wish_does_not_shorten_the_pause_while_the_other_side_is_away() {
        let now = Instant::now();
        let mut pushes = Pushes::new();
        pushes.wish(1);
        assert_eq!(pushes.next(now), Next::Push(1));
        pushes.failed(Failure::Retryable, now);
        pushes.wish(2);
        assert!(matches!(pushes.next(now), Next::WaitUntil(_)));
    }

    #[test]
    fn a_push_is_proved_again_at_each_interval() {
        let now = Instant::now();
        let mut pushes = acknowledged(1, now);
        let due = now + Pushes::<u8>::PROOF_INTERVAL;
        assert_eq!(pushes.next(now), Next::WaitUntil(due));
        assert_eq!(pushes.next(due), Next::Prove);
        assert_eq!(pushes.next(due), Next::Idle, "one proof at a time");
        pushes.proved(due);
        assert_eq!(pushes.next(due), Next::WaitUntil(due + Pushes::<u8>::PROOF_INTERVAL));
    }

    #[test]
    fn a_lost_configuration_is_pushed_again_at_once() {
        let now = Instant::now();
        let mut pushes = acknowledged(1, now);
        assert_eq!(pushes.next(now + SECOND), Next::Prove);
        pushes.lost();
        assert_eq!(pushes.acknowledged(), None);
        assert_eq!(pushes.next(now + SECOND), Next::Push(1));
    }

    #[test]
    fn a_wish_during_a_proof_is_pushed_at_once() {
        let now = Instant::now();
        let mut pushes = acknowledged(1, now);
        assert_eq!(pushes.next(now + SECOND), Next::Prove);
        pushes.wish(2);
        assert_eq!(pushes.next(now + SECOND), Next::Push(2));
    }
}
