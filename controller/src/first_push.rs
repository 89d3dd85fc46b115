//! The wait for the backends of all pools before the first push, and for what Traefik has of those that stay unknown.

use std::time::Duration;

use tokio::time::Instant;

/// State of the first push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstPush {
    /// It waits for pools whose backends are not known. At that moment Traefik is asked what it has of them.
    Waiting { until: Instant },
    /// It waits for the answer.
    Asking,
    /// It waits for nothing any more.
    Over,
}

impl FirstPush {
    /// Pause before Traefik is asked again. It is short, because an attempt costs one refused connection.
    const PAUSE: Duration = Duration::from_millis(500);

    /// Returns the state after a question to which there was no answer.
    pub(crate) fn unanswered(now: Instant) -> Self {
        Self::Waiting { until: now + Self::PAUSE }
    }

    /// Returns whether Traefik has to be asked at `now`.
    pub(crate) fn is_question_due(self, now: Instant) -> bool {
        match self {
            Self::Waiting { until } => until <= now,
            Self::Asking | Self::Over => false,
        }
    }

    /// Returns whether pushes may begin.
    pub(crate) fn is_over(self) -> bool {
        self == Self::Over
    }

    /// Returns the moment of the next question.
    pub(crate) fn wake_up(self) -> Option<Instant> {
        match self {
            Self::Waiting { until } => Some(until),
            Self::Asking | Self::Over => None,
        }
    }
}
