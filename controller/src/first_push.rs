//! The wait for the backends of all pools before the first push, and for what Traefik has of those that stay unknown.

use std::time::Duration;

use ilb_traefik_client::Error;
use tokio::time::Instant;

/// State of the first push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstPush {
    /// The push waits for pools whose backends are not known. Traefik is asked at `until` which ones it has, and after
    /// `at_most` the push waits no longer, whatever the answer.
    Waiting { until: Instant, at_most: Instant },
    /// The push waits for the answer.
    Asking { at_most: Instant },
    /// Pushes wait for nothing.
    Over,
}

impl FirstPush {
    /// Pause before Traefik is asked again. It is short, because an attempt costs one refused connection.
    const PAUSE: Duration = Duration::from_millis(500);

    /// Time for which Traefik is asked again. One that is down for that long has lost what it had, and one that cannot
    /// answer this question may still be able to take a push.
    pub(crate) const MAX_QUESTIONS: Duration = Duration::from_secs(60);

    /// Returns the state before any push, in which Traefik is asked at `until`.
    pub(crate) fn waiting(until: Instant) -> Self {
        Self::Waiting { until, at_most: until + Self::MAX_QUESTIONS }
    }

    /// Starts the question that is due at `now`, and returns whether there is one.
    pub(crate) fn ask(&mut self, now: Instant) -> bool {
        match *self {
            Self::Waiting { until, at_most } if until <= now => {
                *self = Self::Asking { at_most };
                true
            }
            _ => false,
        }
    }

    /// Takes in that there was no answer.
    pub(crate) fn unanswered(&mut self, now: Instant) {
        *self = match *self {
            Self::Asking { at_most } if now + Self::PAUSE < at_most => {
                Self::Waiting { until: now + Self::PAUSE, at_most }
            }
            _ => Self::Over,
        };
    }

    /// Returns whether pushes may begin.
    pub(crate) fn is_over(self) -> bool {
        self == Self::Over
    }

    /// Returns the moment of the next question.
    pub(crate) fn wake_up(self) -> Option<Instant> {
        match self {
            Self::Waiting { until, .. } => Some(until),
            Self::Asking { .. } | Self::Over => None,
        }
    }
}

/// Returns whether the same question may be answered later.
pub(crate) fn may_answer_later(error: &Error) -> bool {
    match error {
        Error::Unintelligible { .. } => false,
        Error::Fleet { failed, .. } => failed.is_empty() || failed.iter().any(|(_, error)| may_answer_later(error)),
        error => error.is_retryable(),
    }
}
