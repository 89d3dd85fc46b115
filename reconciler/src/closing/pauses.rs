//! Pauses after something went wrong.

use std::{
    fmt,
    time::{Duration, Instant},
};

/// Pauses after something went wrong. Each failure of the closer makes the next pause twice as long, until one succeeds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pauses {
    until: Option<(Instant, PauseReason)>,
    failures: u32,
}

/// The reason of a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PauseReason {
    /// The closer failed, refused an order, or did not answer.
    CloserFailed,
    /// Too few clients came back after their connections were closed.
    ClientsStayAway,
}

impl fmt::Display for PauseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CloserFailed => "the closer failed, refused an order, or did not answer",
            Self::ClientsStayAway => "too few clients came back after their connections were closed",
        })
    }
}

impl Pauses {
    const FIRST: Duration = Duration::from_secs(60);
    const LONGEST: Duration = Duration::from_secs(30 * 60);
    const AFTER_CLIENTS_STAYED_AWAY: Duration = Duration::from_secs(10 * 60);

    /// Takes in that the closer failed.
    pub(crate) fn failed(&mut self, now: Instant) {
        // Several orders that were on their way fail together.
        if self.current(now).is_some_and(|(_, reason)| reason == PauseReason::CloserFailed) {
            return;
        }
        let pause = Self::FIRST.saturating_mul(1 << self.failures.min(16)).min(Self::LONGEST);
        self.failures += 1;
        self.extend(now + pause, PauseReason::CloserFailed);
    }

    /// Takes in that the closer succeeded.
    pub(crate) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Takes in that clients do not come back.
    pub(crate) fn clients_stay_away(&mut self, now: Instant) {
        self.extend(now + Self::AFTER_CLIENTS_STAYED_AWAY, PauseReason::ClientsStayAway);
    }

    /// Returns the end and the reason of the present pause.
    pub(crate) fn current(&self, now: Instant) -> Option<(Instant, PauseReason)> {
        self.until.filter(|(until, _)| *until > now)
    }

    fn extend(&mut self, until: Instant, reason: PauseReason) {
        if self.until.is_none_or(|(present, _)| present < until) {
            self.until = Some((until, reason));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn each_failure_doubles_the_pause_until_one_succeeds() {
        let (mut pauses, mut now) = (Pauses::default(), Instant::now());
        for minutes in [1, 2, 4, 8, 16, 30, 30] {
            pauses.failed(now);
            pauses.failed(now);
            assert_eq!(pauses.current(now), Some((now + minutes * MINUTE, PauseReason::CloserFailed)));
            now += minutes * MINUTE;
            assert_eq!(pauses.current(now), None);
        }
        pauses.succeeded();
        pauses.failed(now);
        assert_eq!(pauses.current(now).unwrap().0, now + MINUTE);
    }

    #[test]
    fn a_shorter_pause_does_not_replace_a_longer_one() {
        let (mut pauses, now) = (Pauses::default(), Instant::now());
        pauses.clients_stay_away(now);
        pauses.failed(now);
        assert_eq!(pauses.current(now), Some((now + 10 * MINUTE, PauseReason::ClientsStayAway)));
    }
}
