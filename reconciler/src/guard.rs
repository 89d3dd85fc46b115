use std::time::{Duration, Instant};

use crate::count::Count;

/// Watches one backend for signs that it does not take connections, although discovery calls it ready.
///
/// Such a backend has the fewest connections, so that without a guard least connections would send it everything. A sign
/// is only a question: a probe answers it. Holds the signs since the last answer, and what the last answer was.
#[derive(Clone, Debug)]
pub(crate) struct Guard {
    trust: Trust,
    recent: Peak,
    /// Connections that the plan has led here and that have not shown up, since the last one that has.
    missed: u32,
    /// No question before this moment.
    quiet_until: Option<Instant>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    Trusted,
    /// There is a sign, and nobody has been asked to probe yet.
    Doubted,
    /// There is a sign, and the first probe is under way since then.
    Questioned(Instant),
    /// The last probe had no answer. The next one is due at a moment, or is under way.
    Suspect {
        probe: Option<Instant>,
        pause: Duration,
    },
}

/// How long a questioned backend still takes connections while its probe is under way: a healthy one answers in less.
const BENEFIT_OF_DOUBT: Duration = Duration::from_millis(200);

/// How long a dial may remain unanswered. It is shorter than the 1 s after which a lost SYN is repeated: a probe is cheap.
const UNANSWERED: Duration = Duration::from_millis(300);

/// A fall to less than half counts from this many connections on.
const FEW: u32 = 4;

/// So many connections that do not show up are a sign. One may come from a connection that arrived during a push.
const MISSED: u32 = 2;

/// A backend that has answered is left alone for this long.
const QUIET: Duration = Duration::from_secs(1);

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Guard {
    pub(crate) fn new() -> Self {
        Self { trust: Trust::Trusted, recent: Peak::default(), missed: 0, quiet_until: None }
    }

    /// Takes in a sample. `missed`: how many connections the plan has led here in vain since the last push, as far as the
    /// openings elsewhere tell.
    pub(crate) fn sample(&mut self, count: &Count, missed: u32, now: Instant) {
        self.recent.see(count.connections, now);
        if count.opened > 0 {
            self.missed = 0;
        }
        let fell = self.recent.value() >= FEW && count.connections * 2 < self.recent.value();
        let in_vain = self.missed.saturating_add(missed) >= MISSED;
        let unanswered = count.oldest_opening.is_some_and(|age| age >= UNANSWERED);
        let quiet = self.quiet_until.is_some_and(|until| now < until);
        if self.trust == Trust::Trusted && !quiet && (fell || in_vain || unanswered) {
            self.trust = Trust::Doubted;
        }
    }

    /// A push makes the plan begin anew: remembers what was missed under the old one.
    pub(crate) fn pushed(&mut self, missed: u32) {
        self.missed = self.missed.saturating_add(missed);
    }

    /// Whether a probe has to be started now. Once it says so, the probe is taken to be under way.
    pub(crate) fn probe_is_due(&mut self, now: Instant) -> bool {
        self.trust = match self.trust {
            Trust::Doubted => Trust::Questioned(now),
            Trust::Suspect { probe: Some(at), pause } if at <= now => Trust::Suspect { probe: None, pause },
            _ => return false,
        };
        true
    }

    /// The probe under way has ended. Answers whether that made a suspect trusted again.
    pub(crate) fn probed(&mut self, answered: bool, now: Instant) -> bool {
        let was_left_out = self.is_suspect(now);
        self.trust = match self.trust {
            Trust::Trusted => Trust::Trusted, // it left and came back meanwhile: the answer is to an old question
            _ if answered => {
                self.recent = Peak::default();
                self.missed = 0;
                self.quiet_until = Some(now + QUIET);
                Trust::Trusted
            }
            Trust::Doubted | Trust::Questioned(_) => {
                Trust::Suspect { probe: Some(now + FIRST_PAUSE), pause: FIRST_PAUSE }
            }
            Trust::Suspect { pause, .. } => {
                let pause = (pause * 2).min(LONGEST_PAUSE);
                Trust::Suspect { probe: Some(now + pause), pause }
            }
        };
        was_left_out && self.trust == Trust::Trusted
    }

    /// Whether it gets no new connections.
    pub(crate) fn is_suspect(&self, now: Instant) -> bool {
        match self.trust {
            Trust::Trusted | Trust::Doubted => false,
            Trust::Questioned(since) => now >= since + BENEFIT_OF_DOUBT,
            Trust::Suspect { .. } => true,
        }
    }

    /// When this changes, or a probe is due, if nothing else happens.
    pub(crate) fn wake_up(&self) -> Option<Instant> {
        match self.trust {
            Trust::Trusted | Trust::Doubted => None,
            Trust::Questioned(since) => Some(since + BENEFIT_OF_DOUBT),
            Trust::Suspect { probe, .. } => probe,
        }
    }
}

/// The most connections within about the last second.
#[derive(Clone, Debug, Default)]
struct Peak {
    before: u32,
    present: u32,
    since: Option<Instant>,
}

impl Peak {
    const HALF: Duration = Duration::from_millis(500);

    fn see(&mut self, connections: u32, now: Instant) {
        if self.since.is_none_or(|since| now >= since + Self::HALF) {
            self.before = std::mem::take(&mut self.present);
            self.since = Some(now);
        }
        self.present = self.present.max(connections);
    }

    fn value(&self) -> u32 {
        self.before.max(self.present)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn count(connections: u32, opened: u32) -> Count {
        Count { connections, opened, oldest_opening: None }
    }

    /// A guard with a sign, whose probe was started at the moment returned.
    fn questioned() -> (Guard, Instant) {
        let (mut guard, now) = (Guard::new(), Instant::now());
        guard.sample(&count(20, 0), 0, now);
        assert!(!guard.probe_is_due(now), "no sign, no probe");
        guard.sample(&count(9, 0), 0, now + 50 * MS);
        assert!(guard.probe_is_due(now + 50 * MS));
        assert!(!guard.probe_is_due(now + 50 * MS), "one probe at a time");
        (guard, now + 50 * MS)
    }

    #[test]
    fn a_sudden_fall_is_a_sign_a_slow_one_is_none() {
        questioned();
        let (mut guard, now) = (Guard::new(), Instant::now());
        for step in 0..20 {
            guard.sample(&count(90 - 3 * step, 0), 0, now + step * 200 * MS);
            assert!(!guard.probe_is_due(now), "{step}");
        }
    }

    #[test]
    fn connections_that_never_show_up_are_a_sign_even_over_several_pushes() {
        let (mut guard, now) = (Guard::new(), Instant::now());
        guard.sample(&count(0, 0), 1, now);
        assert!(!guard.probe_is_due(now));
        guard.pushed(1);
        guard.sample(&count(1, 1), 0, now);
        guard.pushed(1);
        guard.sample(&count(1, 0), 0, now);
        assert!(!guard.probe_is_due(now), "one showed up in between");
        guard.sample(&count(0, 0), 1, now);
        assert!(guard.probe_is_due(now));
    }

    #[test]
    fn a_dial_that_nobody_answers_is_a_sign() {
        let (mut guard, now) = (Guard::new(), Instant::now());
        guard.sample(&Count { oldest_opening: Some(UNANSWERED / 2), ..count(9, 1) }, 0, now);
        assert!(!guard.probe_is_due(now));
        guard.sample(&Count { oldest_opening: Some(UNANSWERED), ..count(9, 1) }, 0, now);
        assert!(guard.probe_is_due(now));
    }

    #[test]
    fn an_answer_clears_and_is_believed_for_a_while() {
        let (mut guard, now) = questioned();
        assert!(!guard.is_suspect(now + 100 * MS));
        assert!(!guard.probed(true, now + 100 * MS), "it was never left out");
        guard.sample(&count(0, 0), 5, now + 200 * MS);
        assert!(!guard.probe_is_due(now + 200 * MS));
        guard.sample(&count(0, 0), 5, now + 2_000 * MS);
        assert!(guard.probe_is_due(now + 2_000 * MS));
    }

    #[test]
    fn a_refusal_makes_it_a_suspect_that_is_probed_again_with_growing_pauses_until_it_answers() {
        let (mut guard, mut now) = questioned();
        guard.probed(false, now);
        let mut pauses = Vec::new();
        for _ in 0..6 {
            assert!(guard.is_suspect(now));
            let at = guard.wake_up().unwrap();
            assert!(!guard.probe_is_due(now));
            assert!(guard.probe_is_due(at));
            pauses.push(at - now);
            now = at;
            guard.probed(false, now);
        }
        assert!(pauses.is_sorted());
        assert_eq!((pauses[0], pauses[5]), (FIRST_PAUSE, LONGEST_PAUSE));
        assert!(guard.probed(true, now));
        assert!(!guard.is_suspect(now));
    }

    #[test]
    fn a_probe_that_takes_long_makes_it_a_suspect_until_it_ends() {
        let (mut guard, now) = questioned();
        assert_eq!(guard.wake_up(), Some(now + BENEFIT_OF_DOUBT));
        assert!(guard.is_suspect(now + BENEFIT_OF_DOUBT));
        assert!(guard.probed(true, now + 2 * BENEFIT_OF_DOUBT));
    }
}
