//! The guard of one backend: notices that it takes no connections although it is ready.

use std::time::{Duration, Instant};

use crate::observations::{Count, ProbeKind, ProbeResult};

/// Watches one backend for signs that it does not take connections although discovery reports it as ready.
///
/// Such a backend has the fewest connections, so without a guard least connections would send it everything. A sign
/// only raises the question; a probe answers it. Holds the signs since the last probe that was answered, and the result
/// of the last probe.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    trust: Trust,
    recent: Peak,
    /// Connections that the plans in force sent here and that did not appear, since the last one that did.
    missed: u32,
    /// Whether the last sample showed that as a sign.
    has_missed: bool,
    /// Whether the last sample showed a connection attempt without a response.
    is_unanswered: bool,
    /// Moment before which signs are ignored.
    quiet_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    Trusted,
    /// There is a sign, and no probe has been started yet.
    Doubted,
    /// There is a sign, and the first probe is under way.
    Questioned,
    /// A probe could not be made: the next one is due at this moment.
    Postponed(Instant),
    /// The last probe was not answered. `next_probe` is `None` while the next one is under way.
    Suspect {
        next_probe: Option<Instant>,
        pause: Duration,
    },
}

/// Minimum age of an unanswered connection attempt that is a sign. It is shorter than the 1 s after which a lost SYN is
/// repeated, because a probe is cheap.
const UNANSWERED_ATTEMPT_AGE: Duration = Duration::from_millis(300);

/// Minimum number of recent connections for which a fall to less than half is a sign.
const MIN_CONNECTIONS_TO_FALL: u32 = 4;

/// Minimum number of missing connections that is a sign. A single one may be missing because it arrived during a push.
const MIN_MISSED_CONNECTIONS: u32 = 2;

/// Time for which signs are ignored after a backend has answered a probe.
const QUIET_AFTER_ANSWER: Duration = Duration::from_secs(1);

/// Pause before the second probe of a suspect. Each further one is twice as long.
const FIRST_PROBE_PAUSE: Duration = Duration::from_millis(500);

const MAX_PROBE_PAUSE: Duration = Duration::from_secs(5);

impl Guard {
    pub(crate) fn new() -> Self {
        Self {
            trust: Trust::Trusted,
            recent: Peak::default(),
            missed: 0,
            has_missed: false,
            is_unanswered: false,
            quiet_until: None,
        }
    }

    /// Takes in a sample. `missed` is the number of connections that the plan in force must have sent here since the
    /// last push without any having appeared, judged by the connections opened elsewhere.
    pub(crate) fn sampled(&mut self, count: &Count, missed: u32, now: Instant) {
        self.recent.add(count.connections, now);
        if count.opened > 0 {
            self.missed = 0;
        }
        let has_fallen = self.would_fall(count);
        self.has_missed = self.missed.saturating_add(missed) >= MIN_MISSED_CONNECTIONS;
        self.is_unanswered = count.oldest_opening.is_some_and(|age| age >= UNANSWERED_ATTEMPT_AGE);
        let is_quiet = self.quiet_until.is_some_and(|until| now < until);
        if self.trust == Trust::Trusted && !is_quiet && (has_fallen || self.has_missed || self.is_unanswered) {
            self.trust = Trust::Doubted;
        }
    }

    /// Takes in that a connection was closed on purpose: its end is no sign.
    pub(crate) fn closed_on_purpose(&mut self) {
        self.recent.lower();
    }

    /// Returns `true` if this count means that most of the recent connections have ended at once.
    pub(crate) fn would_fall(&self, count: &Count) -> bool {
        self.recent.value() >= MIN_CONNECTIONS_TO_FALL && count.connections.saturating_mul(2) < self.recent.value()
    }

    /// Returns `true` if connections that the plans in force sent here did not appear.
    pub(crate) fn has_missed(&self) -> bool {
        self.has_missed
    }

    /// Returns `true` if the backend neither accepts nor refuses connections, as far as is known.
    pub(crate) fn does_not_respond(&self) -> bool {
        self.is_unanswered
    }

    /// Adds the connections missed under the old plan, because a push makes the new plan start from the top.
    pub(crate) fn pushed(&mut self, missed: u32) {
        self.missed = self.missed.saturating_add(missed);
    }

    /// Raises the question without a sign in the counts: an attempt to connect was refused, or many peers do not respond.
    pub(crate) fn doubt(&mut self) {
        if self.trust == Trust::Trusted {
            self.trust = Trust::Doubted;
        }
    }

    /// Returns the kind of probe that is due at `now`, and from then on takes that probe to be under way.
    pub(crate) fn take_due_probe(&mut self, now: Instant) -> Option<ProbeKind> {
        let (trust, kind) = match self.trust {
            Trust::Doubted => (Trust::Questioned, ProbeKind::First),
            Trust::Postponed(at) if at <= now => (Trust::Questioned, ProbeKind::First),
            Trust::Suspect { next_probe: Some(at), pause } if at <= now => {
                (Trust::Suspect { next_probe: None, pause }, ProbeKind::Again)
            }
            _ => return None,
        };
        self.trust = trust;
        Some(kind)
    }

    /// Takes in the result of the probe under way.
    pub(crate) fn probed(&mut self, result: ProbeResult, now: Instant) {
        self.trust = match (self.trust, result) {
            // The backend left and came back while the probe was under way: the result belongs to the guard before.
            (Trust::Trusted, _) => Trust::Trusted,
            (_, ProbeResult::Answered | ProbeResult::Closed) => {
                self.recent = Peak::default();
                self.missed = 0;
                self.quiet_until = Some(now + QUIET_AFTER_ANSWER);
                Trust::Trusted
            }
            (Trust::Doubted | Trust::Questioned | Trust::Postponed(_), ProbeResult::Unanswered) => {
                Trust::Suspect { next_probe: Some(now + FIRST_PROBE_PAUSE), pause: FIRST_PROBE_PAUSE }
            }
            (Trust::Doubted | Trust::Questioned | Trust::Postponed(_), ProbeResult::NotMade) => {
                Trust::Postponed(now + FIRST_PROBE_PAUSE)
            }
            (Trust::Suspect { pause, .. }, ProbeResult::NotMade) => {
                Trust::Suspect { next_probe: Some(now + pause), pause }
            }
            (Trust::Suspect { pause, .. }, ProbeResult::Unanswered) => {
                let pause = (pause * 2).min(MAX_PROBE_PAUSE);
                Trust::Suspect { next_probe: Some(now + pause), pause }
            }
        };
    }

    /// Returns `true` if the backend should get no new connections: it did not answer the last probe.
    pub(crate) fn is_suspect(&self) -> bool {
        matches!(self.trust, Trust::Suspect { .. })
    }

    /// Returns `true` if there is a sign that no probe has answered yet.
    pub(crate) fn is_doubted(&self) -> bool {
        matches!(self.trust, Trust::Doubted | Trust::Questioned | Trust::Postponed(_))
    }

    /// Returns the moment at which a probe is due, if nothing else happens before.
    pub(crate) fn wake_up(&self) -> Option<Instant> {
        match self.trust {
            Trust::Trusted | Trust::Doubted | Trust::Questioned => None,
            Trust::Postponed(at) => Some(at),
            Trust::Suspect { next_probe, .. } => next_probe,
        }
    }
}

/// Maximum number of connections within about the last second.
#[derive(Clone, Debug, Default)]
struct Peak {
    previous: u32,
    current: u32,
    /// Begin of the current half of the window.
    since: Option<Instant>,
}

impl Peak {
    const HALF_WINDOW: Duration = Duration::from_millis(500);

    fn add(&mut self, connections: u32, now: Instant) {
        if self.since.is_none_or(|since| now >= since + Self::HALF_WINDOW) {
            self.previous = std::mem::take(&mut self.current);
            self.since = Some(now);
        }
        self.current = self.current.max(connections);
    }

    fn lower(&mut self) {
        (self.previous, self.current) = (self.previous.saturating_sub(1), self.current.saturating_sub(1));
    }

    fn value(&self) -> u32 {
        self.previous.max(self.current)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn count(connections: u32, opened: u32) -> Count {
        Count { connections, opened, oldest_opening: None }
    }

    /// Returns a guard with a sign whose probe has been started, and the moment.
    fn questioned() -> (Guard, Instant) {
        let (mut guard, now) = (Guard::new(), Instant::now());
        guard.sampled(&count(20, 0), 0, now);
        assert_eq!(guard.take_due_probe(now), None, "no sign, no probe");
        guard.sampled(&count(9, 0), 0, now + 50 * MS);
        assert_eq!(guard.take_due_probe(now + 50 * MS), Some(ProbeKind::First));
        assert_eq!(guard.take_due_probe(now + 50 * MS), None, "one probe at a time");
        (guard, now + 50 * MS)
    }

    #[test]
    fn a_sudden_fall_is_a_sign_and_a_slow_one_is_not() {
        questioned();
        let (mut guard, now) = (Guard::new(), Instant::now());
        for step in 0..20 {
            guard.sampled(&count(90 - 3 * step, 0), 0, now + step * 200 * MS);
            assert_eq!(guard.take_due_probe(now), None, "{step}");
        }
    }

    #[test]
    fn a_fall_by_connections_that_were_closed_on_purpose_is_no_sign() {
        let (mut guard, now) = (Guard::new(), Instant::now());
        guard.sampled(&count(20, 0), 0, now);
        (0..12).for_each(|_| guard.closed_on_purpose());
        guard.sampled(&count(8, 0), 0, now + 50 * MS);
        assert_eq!(guard.take_due_probe(now + 50 * MS), None);
        guard.sampled(&count(3, 0), 0, now + 100 * MS);
        assert_eq!(guard.take_due_probe(now + 100 * MS), Some(ProbeKind::First), "five more ended by themselves");
    }

    #[test]
    fn connections_that_never_appear_are_a_sign_even_over_several_pushes() {
        let (mut guard, now) = (Guard::new(), Instant::now());
        guard.sampled(&count(0, 0), 1, now);
        assert_eq!(guard.take_due_probe(now), None);
        guard.pushed(1);
        guard.sampled(&count(1, 1), 0, now);
        guard.pushed(1);
        guard.sampled(&count(1, 0), 0, now);
        assert_eq!(guard.take_due_probe(now), None, "one appeared in between");
        guard.sampled(&count(0, 0), 1, now);
        assert_eq!(guard.take_due_probe(now), Some(ProbeKind::First));
    }

    #[test]
    fn an_unanswered_connection_attempt_is_a_sign() {
        let (mut guard, now) = (Guard::new(), Instant::now());
        guard.sampled(&Count { oldest_opening: Some(UNANSWERED_ATTEMPT_AGE / 2), ..count(9, 1) }, 0, now);
        assert_eq!(guard.take_due_probe(now), None);
        guard.sampled(&Count { oldest_opening: Some(UNANSWERED_ATTEMPT_AGE), ..count(9, 1) }, 0, now);
        assert_eq!(guard.take_due_probe(now), Some(ProbeKind::First));
    }

    #[test]
    fn an_answer_clears_all_signs_and_new_ones_are_ignored_for_a_while() {
        let (mut guard, now) = questioned();
        guard.probed(ProbeResult::Answered, now + 100 * MS);
        assert!(!guard.is_suspect() && !guard.is_doubted());
        guard.sampled(&count(0, 0), 5, now + 200 * MS);
        assert_eq!(guard.take_due_probe(now + 200 * MS), None);
        guard.sampled(&count(0, 0), 5, now + 2_000 * MS);
        assert_eq!(guard.take_due_probe(now + 2_000 * MS), Some(ProbeKind::First));
    }

    #[test]
    fn an_unanswered_probe_makes_a_suspect_that_is_probed_with_growing_pauses_until_it_answers() {
        let (mut guard, mut now) = questioned();
        guard.probed(ProbeResult::Unanswered, now);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            assert!(guard.is_suspect());
            let at = guard.wake_up().unwrap();
            assert_eq!(guard.take_due_probe(now), None);
            assert_eq!(guard.take_due_probe(at), Some(ProbeKind::Again));
            pauses.push(at - now);
            now = at;
            guard.probed(ProbeResult::Unanswered, now);
        }
        assert!(pauses.is_sorted());
        assert_eq!((pauses[0], pauses[5]), (FIRST_PROBE_PAUSE, MAX_PROBE_PAUSE));
        guard.probed(ProbeResult::Answered, now);
        assert!(!guard.is_suspect());
    }

    #[test]
    fn waiting_for_the_result_of_a_probe_makes_no_suspect() {
        let (guard, now) = questioned();
        assert_eq!(guard.wake_up(), None);
        assert!(guard.is_doubted() && !guard.is_suspect(), "{now:?}");
    }

    #[test]
    fn a_probe_that_could_not_be_made_says_nothing_and_is_made_later() {
        let (mut guard, now) = questioned();
        guard.probed(ProbeResult::NotMade, now);
        assert!(!guard.is_suspect());
        let at = guard.wake_up().unwrap();
        assert_eq!(guard.take_due_probe(at), Some(ProbeKind::First));
        guard.probed(ProbeResult::Unanswered, at);
        let again = guard.wake_up().unwrap();
        assert_eq!(guard.take_due_probe(again), Some(ProbeKind::Again));
        guard.probed(ProbeResult::NotMade, again);
        assert!(guard.is_suspect(), "what the last probe found still holds");
    }
}
