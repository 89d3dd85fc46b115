use std::time::Duration;

use crate::{Revision, process::Version};

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
    /// Traefik, or what is in front of it, refuses what it was sent.
    #[error("Traefik refused the {what} with status {status}: {text}")]
    Refused {
        /// What it refused, such as `configuration`.
        what: &'static str,
        /// The HTTP status.
        status: u16,
        /// What Traefik said, cut to a few lines.
        text: String,
    },
    /// Traefik does not know a part of what it was sent, and ignores it.
    #[error("Traefik {version} took the configuration without {}: it does not know {}", keys.join(", "),
        if keys.len() == 1 { "it" } else { "them" })]
    Dropped {
        /// Where the parts are, such as `tcp.services.a.loadBalancer.healthCheck`; the first few of them.
        keys: Vec<String>,
        /// Traefik's version.
        version: Version,
    },
    /// Traefik took the configuration, but its revision did not appear.
    #[error(
        "revision {revision} is not in force {} ms after Traefik accepted it{}", waited.as_millis(),
        if *looks_dead {
            ", and nothing else has changed there: its throttle is longer than that, or its apply loop is dead, which \
             only a restart cures"
        } else { "" }
    )]
    NotApplied {
        /// What should have appeared.
        revision: Revision,
        /// How long it was waited for.
        waited: Duration,
        /// Whether what was in force before still is, in the same process.
        looks_dead: bool,
    },
    /// Traefik has the revision, but does not use a router.
    #[error("Traefik disabled router {router}: {reason}")]
    RouterDisabled {
        /// The router.
        router: String,
        /// What Traefik says about it.
        reason: String,
    },
    /// Traefik has the revision, but not the servers of a service.
    #[error("Traefik uses other servers for service {service} than it was told: {problem}")]
    ServersDiffer {
        /// The service.
        service: String,
        /// What is missing or too much.
        problem: String,
    },
    /// The process that was asked is not the one that answers now.
    #[error("Traefik restarted and has lost its configuration")]
    Restarted,
    /// The revision that was in force, or was about to be, is gone, and Traefik has not restarted: somebody else writes
    /// to its REST provider.
    #[error("revision {0} is not in force any more: something else has replaced the configuration")]
    Overwritten(Revision),
    /// An answer that cannot be understood, or is too long.
    #[error("Traefik's answer to {what} cannot be understood: {problem}")]
    Unintelligible {
        /// What was asked.
        what: &'static str,
        /// What is wrong with the answer.
        problem: String,
    },
    /// The own credentials cannot be had.
    #[error("the credentials for Traefik cannot be read: {0}")]
    Credentials(String),
    /// Of several instances, too few have the configuration in force.
    #[error("{} of {of} Traefiks have not got the configuration in force: {}", failed.len(), list(failed))]
    Fleet {
        /// Each instance that has not, and why.
        failed: Vec<(String, Error)>,
        /// How many there are.
        of: usize,
    },
}

impl Error {
    /// Whether the same configuration may succeed later without anything else being changed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status >= 500 || *status == 408 || *status == 429,
            Self::RouterDisabled { .. } | Self::Dropped { .. } | Self::ServersDiffer { .. } => false,
            // No instance at all may change with the next look at the DNS.
            Self::Fleet { failed, .. } => failed.is_empty() || failed.iter().any(|(_, error)| error.is_retryable()),
            _ => true,
        }
    }

    /// A short name of the kind, the same for all errors of one cause: for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::NotReady(_) => "not ready",
            Self::Refused { .. } => "refused",
            Self::Dropped { .. } => "dropped",
            Self::NotApplied { .. } => "not applied",
            Self::RouterDisabled { .. } => "router disabled",
            Self::ServersDiffer { .. } => "servers differ",
            Self::Restarted => "restarted",
            Self::Overwritten(_) => "overwritten",
            Self::Unintelligible { .. } => "unintelligible",
            Self::Credentials(_) => "credentials",
            Self::Fleet { .. } => "fleet",
        }
    }
}

fn list(failed: &[(String, Error)]) -> String {
    let each: Vec<_> = failed.iter().map(|(instance, error)| format!("{instance}: {error}")).collect();
    if each.is_empty() { "there is none".to_owned() } else { each.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_somebody_else_can_repair_is_not_retryable() {
        let refused = |status| Error::Refused { what: "configuration", status, text: String::new() };
        assert!(!refused(400).is_retryable() && !refused(401).is_retryable());
        assert!(refused(503).is_retryable() && Error::Restarted.is_retryable());
        let fleet = |errors: &[Error]| Error::Fleet {
            failed: errors.iter().map(|error| (String::new(), error.clone())).collect(),
            of: 2,
        };
        assert!(!fleet(&[refused(400)]).is_retryable());
        assert!(fleet(&[refused(400), Error::Restarted]).is_retryable());
    }
}
