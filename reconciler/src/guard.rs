//! The guard of one backend: notices that it takes no connections although it is ready.

use std::time::{Duration, Instant};

use crate::observations::{Count, ProbeResult};

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
    /// Moment before which signs are ignored.
    quiet_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    Trusted,
    /// There is a sign, and no probe has been started yet.
    Doubted,
    /// There is a sign, and the first probe is under way since this moment.
    Questioned(Instant),
    /// The last probe was not answered. `next_probe` is `None` while the next one is under way.
    Suspect {
        next_probe: Option<Instant>,
        pause: Duration,
    },
}

/// Time during which a questioned backend still takes connections while its probe is under way. A healthy one answers
/// within less.
const PROBE_GRACE_PERIOD: Duration = Duration::from_millis(200);

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
        Self { trust: Trust::Trusted, recent: Peak::default(), missed: 0, quiet_until: None }
    }

    /// Takes in a sample. `missed` is the number of connections that the plan in force must have sent here since the
    /// last push without any having appeared, judged by the connections opened elsewhere.
    pub(crate) fn sampled(&mut self, count: &Count, missed: u32, now: Instant) {
        self.recent.add(count.connections, now);
        if count.opened > 0 {
            self.missed = 0;
        }
        let has_fallen = self.recent.value() >= MIN_CONNECTIONS_TO_FALL && count.connections * 2 < self.recent.value();
        let has_missed = self.missed.saturating_add(missed) >= MIN_MISSED_CONNECTIONS;
        let is_unanswered = count.oldest_opening.is_some_and(|age| age >= UNANSWERED_ATTEMPT_AGE);
        let is_quiet = self.quiet_until.is_some_and(|until| now < until);
        if self.trust == Trust::Trusted && !is_quiet && (has_fallen || has_missed || is_unanswered) {
            self.trust = Trust::Doubted;
        }
    }

    /// Adds the connections missed under the old plan, because a push makes the new plan start from the top.
    pub(crate) fn pushed(&mut self, missed: u32) {
        self.missed = self.missed.saturating_add(missed);
    }

    /// Returns `true` if a probe is due at `now`, and from then on takes that probe to be under way.
    pub(crate) fn take_due_probe(&mut self, now: Instant) -> bool {
        self.trust = match self.trust {
            Trust::Doubted => Trust::Questioned(now),
            Trust::Suspect { next_probe: Some(at), pause } if at <= now => Trust::Suspect { next_probe: None, pause },
            _ => return false,
        };
        true
    }

    /// Takes in the result of the probe under way.
    pub(crate) fn probed(&mut self, result: ProbeResult, now: Instant) {
        self.trust = match (self.trust, result) {
            // The backend left and came back while the probe was under way: the result belongs to the guard before.
            (Trust::Trusted, _) => Trust::Trusted,
            (_, ProbeResult::Answered) => {
                self.recent = Peak::default();
                self.missed = 0;
                self.quiet_until = Some(now + QUIET_AFTER_ANSWER);
                Trust::Trusted
            }
            (Trust::Doubted | Trust::Questioned(_), ProbeResult::Unanswered) => {
                Trust::Suspect { next_probe: Some(now + FIRST_PROBE_PAUSE), pause: FIRST_PROBE_PAUSE }
            }
            (Trust::Suspect { pause, .. }, ProbeResult::Unanswered) => {
                let pause = (pause * 2).min(MAX_PROBE_PAUSE);
                Trust::Suspect { next_probe: Some(now + pause), pause }
            }
        };
    }

    /// Returns `true` if the backend should get no new connections.
    pub(crate) fn is_suspect(&self, now: Instant) -> bool {
        match self.trust {
            Trust::Trusted | Trust::Doubted => false,
            Trust::Questioned(since) => now >= since + PROBE_GRACE_PERIOD,
            Trust::Suspect { .. } => true,
        }
    }

    /// Returns the moment at which the backend becomes a suspect or a probe is due, if nothing else happens before.
    pub(crate) fn wake_up(&self) -> Option<Instant> {
        match self.trust {
            Trust::Trusted | Trust::Doubted => None,
            Trust::Questioned(since) => Some(since + PROBE_GRACE_PERIOD),
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

    /// Returns a guard with a sign, and the moment at which its probe was started.
    fn questioned() -> (Guard, Instant) {
        let (mut guard, now) = (Guard::new(), Instant::now());
        guard.sampled(&count(20, 0), 0, now);
        assert!(!guard.take_due_probe(now), "no sign, no probe");
        guard.sampled(&count(9, 0), 0, now + 50 * MS);
        assert!(guard.take_due_probe(now + 50 * MS));
        assert!(!guard.take_due_probe(now + 50 * MS), "one probe at a time");
        (guard, now + 50 * MS)
    }

    #[test]
    fn a_sudden_fall_is_a_sign_and_a_slow_one_is_not() {
        questioned();
        let (mut guard, now) = (Guard::new(), Instant::now());
        for step in 0..20 {
            guard.sampled(&count(90 - 3 * step, 0), 0, now + step * 200 * MS);
            assert!(!guard.take_due_probe(now), "{step}");
        }
    }

    #[test]
    fn connections_that_never_appear_are_a_sign_even_over_several_pushes() {
        let (mut guard, now) = (Guard::new(), Instant::now());
        guard.sampled(&count(0, 0), 1, now);
        assert!(!guard.take_due_probe(now));
        guard.pushed(1);
        guard.sampled(&count(1, 1), 0, now);
        guard.pushed(1);
        guard.sampled(&count(1, 0), 0, now);
        assert!(!guard.take_due_probe(now), "one appeared in between");
        guard.sampled(&count(0, 0), 1, now);
        assert!(guard.take_due_probe(now));
    }

    #[test]
    fn an_unanswered_connection_attempt_is_a_sign() {
        let (mut guard, now) = (Guard::new(), Instant::now());
        guard.sampled(&Count { oldest_opening: Some(UNANSWERED_ATTEMPT_AGE / 2), ..count(9, 1) }, 0, now);
        assert!(!guard.take_due_probe(now));
        guard.sampled(&Count { oldest_opening: Some(UNANSWERED_ATTEMPT_AGE), ..count(9, 1) }, 0, now);
        assert!(guard.take_due_probe(now));
    }

    #[test]
    fn an_answer_clears_all_signs_and_new_ones_are_ignored_for_a_while() {
        let (mut guard, now) = questioned();
        assert!(!guard.is_suspect(now + 100 * MS));
        guard.probed(ProbeResult::Answered, now + 100 * MS);
        assert!(!guard.is_suspect(now + 2 * PROBE_GRACE_PERIOD));
        guard.sampled(&count(0, 0), 5, now + 200 * MS);
        assert!(!guard.take_due_probe(now + 200 * MS));
        guard.sampled(&count(0, 0), 5, now + 2_000 * MS);
        assert!(guard.take_due_probe(now + 2_000 * MS));
    }

    #[test]
    fn an_unanswered_probe_makes_a_suspect_that_is_probed_with_growing_pauses_until_it_answers() {
        let (mut guard, mut now) = questioned();
        guard.probed(ProbeResult::Unanswered, now);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            assert!(guard.is_suspect(now));
            let at = guard.wake_up().unwrap();
            assert!(!guard.take_due_probe(now));
            assert!(guard.take_due_probe(at));
            pauses.push(at - now);
            now = at;
            guard.probed(ProbeResult::Unanswered, now);
        }
        assert!(pauses.is_sorted());
        assert_eq!((pauses[0], pauses[5]), (FIRST_PROBE_PAUSE, MAX_PROBE_PAUSE));
        guard.probed(ProbeResult::Answered, now);
        assert!(!guard.is_suspect(now));
    }

    #[test]
    fn a_slow_probe_makes_a_suspect_until_it_ends() {
        let (mut guard, now) = questioned();
        assert_eq!(guard.wake_up(), Some(now + PROBE_GRACE_PERIOD));
        assert!(guard.is_suspect(now + PROBE_GRACE_PERIOD));
        guard.probed(ProbeResult::Answered, now + 2 * PROBE_GRACE_PERIOD);
        assert!(!guard.is_suspect(now + 2 * PROBE_GRACE_PERIOD));
    }
}
