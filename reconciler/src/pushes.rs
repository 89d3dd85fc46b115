//! The schedule of pushes and proofs: the retries of one writer that owns one sink.
//!
//! `Breaker` of the crate `ilb-traefik-client` pauses after failures as well, and the two are separate on purpose. `Pushes`
//! decides *what* to do next for the one task that owns the state: it holds what is desired, in flight and acknowledged,
//! schedules proofs, and repeats a failed push after at most half a second (5 s if it was refused), since an attempt at
//! the Traefik of the own pod costs one refused connection. A `Breaker` holds no configuration: it judges one instance of
//! a fleet by its failures in a row, and pauses for up to 5 s and as much jitter, since many clients may have lost the
//! same remote Traefik at once. With a fleet both run: `Pushes` repeats `Fleet::apply`, which does not wait for an
//! instance whose breaker is open.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Decides when to push, and when to prove again that the last push is still in force.
///
/// Holds the desired state (`S`), the one in flight, and the acknowledged one with the proof (`P`) that it is in force.
/// There is one push at a time; while it runs, a newer desired state replaces the one that waits. A failed push is
/// repeated with the desired state of that moment. If a proof fails, the desired state is pushed again.
#[derive(Debug)]
pub struct Pushes<S, P> {
    desired: Option<S>,
    in_flight: Option<S>,
    acknowledged: Option<(S, P)>,
    /// Moment at which the acknowledged state has to be proved again; `None` while a proof is under way.
    proof_due: Option<Instant>,
    retry: Option<Retry>,
}

/// Step that the caller of [`Pushes::next`] has to take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next<S, P> {
    /// Push this, then report [`succeeded`](Pushes::succeeded) or [`failed`](Pushes::failed). A proof that is under way
    /// is obsolete.
    Push(S),
    /// Prove again that the last push is in force, then report [`proved`](Pushes::proved) or [`lost`](Pushes::lost).
    Prove(P),
    /// Wait until this moment, or until something is reported.
    WaitUntil(Instant),
    /// Wait until something is reported.
    Idle,
}

/// Kind of failure of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// A repetition may succeed: Traefik is away, or slow.
    Retryable,
    /// Traefik refused the push, and will refuse it again until something else changes.
    Permanent,
}

#[derive(Debug)]
struct Retry {
    failure: Failure,
    at: Instant,
    pauses: ExponentialBackoff,
}

impl<S, P> Pushes<S, P> {
    /// Time between two proofs, and so the longest delay in noticing that Traefik has restarted.
    pub const PROOF_INTERVAL: Duration = Duration::from_millis(500);

    /// Longest pause before a repetition, and so the longest delay in noticing that Traefik is back. It is short,
    /// because an attempt costs one refused connection within the pod.
    pub const LONGEST_PAUSE: Duration = Duration::from_millis(500);

    /// Longest pause after a refusal, which only a repair of Traefik's static configuration can end.
    pub const LONGEST_PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(5);

    /// Creates a schedule without a desired and without an acknowledged state.
    pub fn new() -> Self {
        Self { desired: None, in_flight: None, acknowledged: None, proof_due: None, retry: None }
    }

    /// Returns the state that is proved to be in force.
    pub fn acknowledged(&self) -> Option<&S> {
        self.acknowledged.as_ref().map(|(state, _)| state)
    }

    /// Returns `true` while a push is under way.
    pub fn is_pushing(&self) -> bool {
        self.in_flight.is_some()
    }
}

impl<S: Clone + PartialEq, P: Clone> Pushes<S, P> {
    /// Replaces the desired state.
    pub fn desire(&mut self, desired: S) {
        let refused = self.retry.as_ref().is_some_and(|retry| retry.failure == Failure::Permanent);
        if refused && self.desired.as_ref() != Some(&desired) {
            self.retry = None; // Traefik may accept another state
        }
        self.desired = Some(desired);
    }

    /// Returns the step to take at `now`. A push or proof that it returns counts as started.
    pub fn next(&mut self, now: Instant) -> Next<S, P> {
        if self.in_flight.is_some() {
            return Next::Idle;
        }
        match &self.desired {
            Some(desired) if self.acknowledged() != Some(desired) => match &self.retry {
                Some(retry) if retry.at > now => Next::WaitUntil(retry.at),
                _ => {
                    self.in_flight = Some(desired.clone());
                    Next::Push(desired.clone())
                }
            },
            _ => match (self.proof_due, &self.acknowledged) {
                (Some(due), Some((_, proof))) if due <= now => {
                    self.proof_due = None;
                    Next::Prove(proof.clone())
                }
                (Some(due), Some(_)) => Next::WaitUntil(due),
                _ => Next::Idle,
            },
        }
    }

    /// Takes in that the push in flight is in force, and the proof of that.
    pub fn succeeded(&mut self, proof: P, now: Instant) {
        self.acknowledged = self.in_flight.take().map(|state| (state, proof));
        self.retry = None;
        self.proved(now);
    }

    /// Takes in that the push in flight failed: from now on it is unknown what is in force.
    pub fn failed(&mut self, failure: Failure, now: Instant) {
        self.in_flight = None;
        self.acknowledged = None;
        self.proof_due = None;
        let mut pauses = match self.retry.take() {
            Some(retry) if retry.failure == failure => retry.pauses,
            _ => failure.pauses(),
        };
        // The sequence never ends. If it did, the longest pause would be right.
        let pause = pauses.next().unwrap_or(failure.longest_pause());
        self.retry = Some(Retry { failure, at: now + pause, pauses });
    }

    /// Takes in that the last push is still in force.
    pub fn proved(&mut self, now: Instant) {
        self.proof_due = Some(now + Self::PROOF_INTERVAL);
    }

    /// Takes in that the last push is no longer in force, or that its proof failed: it is due again.
    pub fn lost(&mut self) {
        self.acknowledged = None;
        self.proof_due = None;
    }
}

impl<S, P> Default for Pushes<S, P> {
    fn default() -> Self {
        Self::new()
    }
}

impl Failure {
    fn pauses(self) -> ExponentialBackoff {
        let first = self.longest_pause() / 10;
        let builder = ExponentialBuilder::default().with_min_delay(first).with_max_delay(self.longest_pause());
        // Without jitter: each controller has a Traefik of its own, so no crowd of clients has to be spread.
        builder.without_max_times().build()
    }

    fn longest_pause(self) -> Duration {
        match self {
            Self::Retryable => Pushes::<(), ()>::LONGEST_PAUSE,
            Self::Permanent => Pushes::<(), ()>::LONGEST_PAUSE_AFTER_REFUSAL,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns pushes with `desired` in force since `now`.
    fn acknowledged(desired: u8, now: Instant) -> Pushes<u8, &'static str> {
        let mut pushes = Pushes::new();
        pushes.desire(desired);
        assert_eq!(pushes.next(now), Next::Push(desired));
        pushes.succeeded("proof", now);
        pushes
    }

    #[test]
    fn there_is_one_push_at_a_time_and_the_latest_desired_state_wins() {
        let now = Instant::now();
        let mut pushes = Pushes::new();
        assert_eq!(pushes.next(now), Next::Idle);
        pushes.desire(1);
        assert_eq!(pushes.next(now), Next::Push(1));
        pushes.desire(2);
        pushes.desire(3);
        assert_eq!(pushes.next(now), Next::Idle);
        pushes.succeeded("proof", now);
        assert_eq!(pushes.acknowledged(), Some(&1));
        assert_eq!(pushes.next(now), Next::Push(3));
    }

    #[test]
    fn a_state_in_force_is_not_pushed_again() {
        let now = Instant::now();
        let mut pushes = acknowledged(1, now);
        pushes.desire(2);
        pushes.desire(1);
        assert_eq!(pushes.next(now), Next::WaitUntil(now + Pushes::<u8, ()>::PROOF_INTERVAL));
    }

    #[test]
    fn a_failed_push_is_repeated_with_growing_pauses_and_the_latest_desired_state() {
        let mut now = Instant::now();
        let mut pushes = Pushes::new();
        pushes.desire(1);
        let mut pauses = Vec::new();
        for _ in 0..20 {
            assert_eq!(pushes.next(now), Next::Push(1));
            pushes.failed(Failure::Retryable, now);
            let Next::WaitUntil(at) = pushes.next(now) else { panic!("a pause is due") };
            pauses.push(at - now);
            now = at;
        }
        assert!(pauses.is_sorted());
        assert_eq!(pauses[0], Pushes::<u8, ()>::LONGEST_PAUSE / 10);
        assert_eq!(pauses[19], Pushes::<u8, ()>::LONGEST_PAUSE);
        pushes.desire(2);
        assert_eq!(pushes.next(now), Next::Push(2));
        pushes.succeeded("proof", now);
        pushes.desire(3);
        assert_eq!(pushes.next(now), Next::Push(3));
        pushes.failed(Failure::Retryable, now);
        assert_eq!(pushes.next(now), Next::WaitUntil(now + pauses[0]), "a success resets the pauses");
    }

    #[test]
    fn a_refused_state_is_repeated_slowly_but_another_one_is_pushed_at_once() {
        let mut now = Instant::now();
        let mut pushes = Pushes::<_, ()>::new();
        pushes.desire(1);
        for _ in 0..20 {
            assert_eq!(pushes.next(now), Next::Push(1));
            pushes.failed(Failure::Permanent, now);
            pushes.desire(1);
            let Next::WaitUntil(at) = pushes.next(now) else { panic!("a pause is due") };
            assert!(at - now <= 5 * SECOND);
            now = at;
        }
        assert_eq!(pushes.next(now), Next::Push(1));
        pushes.failed(Failure::Permanent, now);
        pushes.desire(2);
        assert_eq!(pushes.next(now), Next::Push(2));
    }

    #[test]
    fn a_new_desired_state_does_not_shorten_the_pause_while_traefik_is_away() {
        let now = Instant::now();
        let mut pushes = Pushes::<_, ()>::new();
        pushes.desire(1);
        assert_eq!(pushes.next(now), Next::Push(1));
        pushes.failed(Failure::Retryable, now);
        pushes.desire(2);
        assert!(matches!(pushes.next(now), Next::WaitUntil(_)));
    }

    #[test]
    fn a_push_is_proved_again_at_each_interval() {
        let now = Instant::now();
        let mut pushes = acknowledged(1, now);
        let due = now + Pushes::<u8, ()>::PROOF_INTERVAL;
        assert_eq!(pushes.next(now), Next::WaitUntil(due));
        assert_eq!(pushes.next(due), Next::Prove("proof"));
        assert_eq!(pushes.next(due), Next::Idle, "one proof at a time");
        pushes.proved(due);
        assert_eq!(pushes.next(due), Next::WaitUntil(due + Pushes::<u8, ()>::PROOF_INTERVAL));
    }

    #[test]
    fn a_lost_configuration_is_pushed_again_at_once() {
        let now = Instant::now();
        let mut pushes = acknowledged(1, now);
        assert_eq!(pushes.next(now + SECOND), Next::Prove("proof"));
        pushes.lost();
        assert_eq!(pushes.acknowledged(), None);
        assert_eq!(pushes.next(now + SECOND), Next::Push(1));
    }

    #[test]
    fn a_desired_state_during_a_proof_is_pushed_at_once() {
        let now = Instant::now();
        let mut pushes = acknowledged(1, now);
        assert_eq!(pushes.next(now + SECOND), Next::Prove("proof"));
        pushes.desire(2);
        assert_eq!(pushes.next(now + SECOND), Next::Push(2));
    }
}
