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
/// repeated with the desired state of that moment. If a proof fails, the desired state is pushed again. A state of which
/// some parts are not in force is acknowledged as a whole, and repeated with growing pauses.
#[derive(Debug)]
pub struct Pushes<S, P> {
    desired: Option<S>,
    in_flight: Option<S>,
    acknowledged: Option<(S, P)>,
    /// Moment at which the acknowledged state has to be proved again if it is not replaced before.
    proof_due: Option<Instant>,
    /// Moment from which on the acknowledged state has to be proved again before it is replaced. Otherwise frequent pushes
    /// would repair again and again what another client writes, and nobody would ever know of it.
    check_due: Option<Instant>,
    is_proving: bool,
    retry: Option<Retry>,
    /// The repetition of an acknowledged state of which some parts are not in force.
    repetition: Option<Repetition>,
    /// Moment before which no push starts.
    held_until: Option<Instant>,
}

/// Step that the caller of [`Pushes::next`] has to take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Next<S, P> {
    /// Push this, then report [`succeeded`](Pushes::succeeded) or [`failed`](Pushes::failed).
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

#[derive(Debug)]
struct Repetition {
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

    /// Pause before the first repetition of a state of which some parts are not in force; each further one doubles it.
    pub const SHORTEST_PAUSE_IN_PART: Duration = Duration::from_secs(1);

    /// Longest pause before such a repetition. It is long, because it seldom helps, and because a Traefik with a throttle
    /// delays the next change after each push.
    pub const LONGEST_PAUSE_IN_PART: Duration = Duration::from_secs(60);

    /// Creates a schedule without a desired and without an acknowledged state.
    pub fn new() -> Self {
        Self {
            desired: None,
            in_flight: None,
            acknowledged: None,
            proof_due: None,
            check_due: None,
            is_proving: false,
            retry: None,
            repetition: None,
            held_until: None,
        }
    }

    /// Returns the state that is proved to be in force, with the parts that are not.
    pub fn acknowledged(&self) -> Option<&S> {
        self.acknowledged.as_ref().map(|(state, _)| state)
    }

    /// Returns `true` while a push is under way.
    pub fn is_pushing(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Returns the proof that the acknowledged state is in force.
    pub fn proof(&self) -> Option<&P> {
        self.acknowledged.as_ref().map(|(_, proof)| proof)
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
        if self.in_flight.is_some() || self.is_proving {
            return Next::Idle;
        }
        let is_new = self.desired.is_some() && self.acknowledged() != self.desired.as_ref();
        let due = if is_new {
            Some(self.retry.as_ref().map_or(now, |retry| retry.at))
        } else {
            self.repetition.as_ref().map(|repetition| repetition.at)
        };
        let push_due = due.map(|due| self.held_until.map_or(due, |held_until| due.max(held_until)));
        let is_due = |due: Option<Instant>| due.is_some_and(|due| due <= now);
        // What is about to be replaced is proved again only if that was long ago.
        let proof_due = self.proof_due.filter(|_| !is_new);
        match (&self.desired, &self.acknowledged) {
            (_, Some((_, proof))) if is_due(proof_due) || (is_due(push_due) && is_due(self.check_due)) => {
                self.is_proving = true;
                Next::Prove(proof.clone())
            }
            (Some(desired), _) if is_due(push_due) => {
                self.in_flight = Some(desired.clone());
                Next::Push(desired.clone())
            }
            _ => proof_due.into_iter().chain(push_due).min().map_or(Next::Idle, Next::WaitUntil),
        }
    }

    /// Allows no push before `moment`.
    pub fn hold_until(&mut self, moment: Instant) {
        self.held_until = Some(moment);
    }

    /// Takes in that the push in flight is in force, and the proof of that.
    pub fn succeeded(&mut self, proof: P, now: Instant) {
        self.acknowledged = self.in_flight.take().map(|state| (state, proof));
        (self.retry, self.repetition) = (None, None);
        self.proof_due = Some(now + Self::PROOF_INTERVAL);
        self.check_due = self.check_due.or(self.proof_due);
    }

    /// Takes in that the push in flight is in force except for some parts, and the proof of that.
    pub fn succeeded_in_part(&mut self, proof: P, now: Instant) {
        let mut pauses = self.repetition.take().map_or_else(pauses_in_part, |repetition| repetition.pauses);
        self.succeeded(proof, now);
        // The sequence never ends. If it did, the longest pause would be right.
        let pause = pauses.next().unwrap_or(Self::LONGEST_PAUSE_IN_PART);
        self.repetition = Some(Repetition { at: now + pause, pauses });
    }

    /// Takes in that the push in flight failed: from now on it is unknown what is in force.
    pub fn failed(&mut self, failure: Failure, now: Instant) {
        self.in_flight = None;
        self.acknowledged = None;
        (self.proof_due, self.check_due, self.repetition) = (None, None, None);
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
        self.is_proving = false;
        self.proof_due = Some(now + Self::PROOF_INTERVAL);
        self.check_due = self.proof_due;
    }

    /// Takes in that the last push is no longer in force, or that its proof failed: it is due again.
    pub fn lost(&mut self) {
        self.acknowledged = None;
        self.is_proving = false;
        (self.proof_due, self.check_due, self.repetition) = (None, None, None);
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

fn pauses_in_part() -> ExponentialBackoff {
    type Constants = Pushes<(), ()>;
    let (shortest, longest) = (Constants::SHORTEST_PAUSE_IN_PART, Constants::LONGEST_PAUSE_IN_PART);
    ExponentialBuilder::default().with_min_delay(shortest).with_max_delay(longest).without_max_times().build()
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
    fn a_desired_state_during_a_proof_is_pushed_after_it_whether_it_holds_or_not() {
        for holds in [true, false] {
            let now = Instant::now();
            let mut pushes = acknowledged(1, now);
            assert_eq!(pushes.next(now + SECOND), Next::Prove("proof"));
            pushes.desire(2);
            assert_eq!(pushes.next(now + SECOND), Next::Idle);
            if holds {
                pushes.proved(now + SECOND);
            } else {
                pushes.lost();
            }
            assert_eq!(pushes.next(now + SECOND), Next::Push(2));
        }
    }

    #[test]
    fn a_state_that_is_replaced_all_the_time_is_proved_as_often_as_one_that_is_not() {
        const EACH: Duration = Duration::from_millis(20);
        let start = Instant::now();
        let (mut pushes, mut proofs) = (acknowledged(0, start), Vec::new());
        for number in 1..=200_u8 {
            let now = start + EACH * number.into();
            pushes.desire(number);
            let mut next = pushes.next(now);
            if next == Next::Prove("proof") {
                proofs.push(now);
                pushes.proved(now);
                next = pushes.next(now);
            }
            assert_eq!(next, Next::Push(number), "right after the proof");
            pushes.succeeded("proof", now);
        }
        assert_eq!(proofs.len(), 8, "in 4 s");
        assert!(proofs.array_windows().all(|[one, next]| *next - *one == Pushes::<u8, ()>::PROOF_INTERVAL));
    }

    #[test]
    fn a_state_that_is_in_force_in_part_is_proved_as_usual_and_repeated_with_growing_pauses() {
        let mut now = Instant::now();
        let mut pushes = Pushes::new();
        pushes.desire(1);
        assert_eq!(pushes.next(now), Next::Push(1));
        let mut pauses = Vec::new();
        for _ in 0..10 {
            let started = now;
            pushes.succeeded_in_part("proof", now);
            assert_eq!(pushes.acknowledged(), Some(&1));
            loop {
                match pushes.next(now) {
                    Next::WaitUntil(at) => now = at,
                    Next::Prove(_) => pushes.proved(now),
                    Next::Push(state) => break assert_eq!(state, 1),
                    Next::Idle => panic!("a proof is due"),
                }
            }
            pauses.push(now - started);
        }
        assert_eq!(pauses[..3], [SECOND, SECOND * 2, SECOND * 4]);
        assert_eq!(pauses[9], Pushes::<u8, ()>::LONGEST_PAUSE_IN_PART);
        pushes.succeeded("proof", now);
        assert_eq!(
            pushes.next(now),
            Next::WaitUntil(now + Pushes::<u8, ()>::PROOF_INTERVAL),
            "nothing is left to repeat"
        );
    }

    #[test]
    fn another_state_does_not_wait_for_a_repetition_and_does_not_shorten_its_pauses() {
        let now = Instant::now();
        let mut pushes = Pushes::new();
        for state in 1..=5 {
            pushes.desire(state);
            assert_eq!(pushes.next(now), Next::Push(state));
            pushes.succeeded_in_part("proof", now);
        }
        for moment in [now + SECOND * 15, now + SECOND * 16] {
            pushes.proved(moment);
            assert_eq!(matches!(pushes.next(moment), Next::Push(5)), moment == now + SECOND * 16);
        }
    }

    #[test]
    fn a_held_push_waits_whatever_is_desired() {
        let now = Instant::now();
        let mut pushes = acknowledged(1, now);
        pushes.lost();
        pushes.hold_until(now + SECOND);
        assert_eq!(pushes.next(now), Next::WaitUntil(now + SECOND));
        pushes.desire(2);
        assert_eq!(pushes.next(now), Next::WaitUntil(now + SECOND));
        assert_eq!(pushes.next(now + SECOND), Next::Push(2));
    }
}
