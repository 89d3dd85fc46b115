use std::time::Duration;

use crate::Revision;

/// Why a configuration is not proved to be in force.
///
/// No message holds a credential or a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection, a broken one, or no answer in time.
    #[error("Traefik cannot be reached: {0}")]
    Unreachable(String),
    /// Traefik runs but has not built its API yet. It does so in the first moments after its start; when it lasts, the
    /// REST provider or the API is not enabled, or the path is wrong.
    #[error(
        "Traefik answers 404 to {0}: it is just starting, or its REST provider and API are not enabled on this address"
    )]
    NotReady(&'static str),
    /// Traefik refuses what it was sent.
    #[error("Traefik refused the {what} with status {status}: {text}")]
    Refused {
        /// What it refused, such as `configuration`.
        what: &'static str,
        /// The HTTP status.
        status: u16,
        /// What Traefik said, cut to a few lines.
        text: String,
    },
    /// Traefik took the configuration, but its revision did not appear.
    #[error("revision {revision} is not in force {} ms after Traefik accepted it", waited.as_millis())]
    NotApplied {
        /// What should have appeared.
        revision: Revision,
        /// How long it was waited for.
        waited: Duration,
    },
    /// Traefik has the revision, but does not use a router.
    #[error("Traefik disabled router {router}: {reason}")]
    RouterDisabled {
        /// The router.
        router: String,
        /// What Traefik says about it.
        reason: String,
    },
    /// The process that was asked is not the one that answers now.
    #[error("Traefik restarted and has lost its configuration")]
    Restarted,
    /// The revision that was in force is gone, and Traefik has not restarted: somebody else writes to its REST provider.
    #[error("revision {0} is not in force any more: something else has replaced the configuration")]
    Overwritten(Revision),
    /// An answer that cannot be understood.
    #[error("Traefik's answer to {what} cannot be understood: {problem}")]
    Unintelligible {
        /// What was asked.
        what: &'static str,
        /// What is wrong with the answer.
        problem: String,
    },
}

impl Error {
    /// Whether the same configuration may succeed later without anything else being changed.
    pub fn is_retryable(&self) -> bool {
        !matches!(self, Self::Refused { .. } | Self::RouterDisabled { .. })
    }

    /// A short name of the kind, the same for all errors of one cause: for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::NotReady(_) => "not ready",
            Self::Refused { .. } => "refused",
            Self::NotApplied { .. } => "not applied",
            Self::RouterDisabled { .. } => "router disabled",
            Self::Restarted => "restarted",
            Self::Overwritten(_) => "overwritten",
            Self::Unintelligible { .. } => "unintelligible",
        }
    }
}
