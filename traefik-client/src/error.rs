//! Reasons why a configuration is not proved to be in force.

mod cause;

use std::{collections::BTreeMap, time::Duration};

pub use self::cause::Cause;
use crate::{Name, Revision, process::Version};

/// Reason why a configuration is not proved to be in force.
///
/// No message contains a credential or a URL. Each message is complete: the text of the root cause is part of it, so one
/// line of a log needs no more. `source()` returns the error of the library below, for programs that match on it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection failed or broke, or the response did not arrive in time.
    #[error("Traefik cannot be reached: {reason}")]
    Unreachable {
        /// Text of the root cause.
        reason: String,
        /// Error of the HTTP client.
        source: Option<Cause>,
    },
    /// Traefik runs but has not built its API yet, as in the first moments after its start. If this lasts, the REST
    /// provider or the API is not enabled, or the path is wrong.
    #[error(
        "Traefik answers 404 to {0}: it is just starting, or its REST provider and API are not enabled on this address"
    )]
    NotReady(&'static str),
    /// Traefik, or a proxy in front of it, refused the request.
    #[error("Traefik refused the {what} with status {status}: {text}")]
    Refused {
        /// Subject of the request, such as `configuration`.
        what: &'static str,
        /// HTTP status of the response.
        status: u16,
        /// Body of the response, cut to a few lines.
        text: String,
    },
    /// Traefik does not know a part of the configuration and ignores it.
    #[error("Traefik {version} took the configuration without {}: it does not know {}", keys.join(", "),
        if keys.len() == 1 { "it" } else { "them" })]
    Dropped {
        /// Paths of the first few ignored parts, such as `tcp.services.a.loadBalancer.healthCheck`.
        keys: Vec<String>,
        /// Traefik's version.
        version: Version,
    },
    /// Traefik accepted the configuration, but its revision did not appear.
    #[error(
        "revision {revision} is not in force {} ms after Traefik accepted it{}", waited.as_millis(),
        if *looks_dead {
            ", and nothing else has changed there: its throttle is longer than that, or its apply loop is dead, which \
             only a restart cures"
        } else { "" }
    )]
    NotApplied {
        /// Revision that did not appear.
        revision: Revision,
        /// Time from acceptance to giving up.
        waited: Duration,
        /// True if the same process kept its earlier configuration in force all the time.
        looks_dead: bool,
    },
    /// Traefik has none of the entry points of a router, which is therefore not sent to it.
    #[error("Traefik has no entry point {}: it has {}", missing.join(" or "), known.join(", "))]
    EntryPointMissing {
        /// Entry points of the router.
        missing: Vec<String>,
        /// Entry points for TCP that Traefik has.
        known: Vec<String>,
    },
    /// The revision is in force, but a router is disabled.
    #[error("Traefik disabled router {router}: {reason}")]
    RouterDisabled {
        /// Name of the router.
        router: String,
        /// Traefik's explanation.
        reason: String,
    },
    /// The revision is in force, but a service has other servers than configured.
    #[error("Traefik uses other servers for service {service} than configured: {problem}")]
    ServersDiffer {
        /// Name of the service.
        service: String,
        /// Missing and superfluous addresses.
        problem: String,
    },
    /// Another process answers now than the one that was asked before.
    #[error("Traefik restarted and has lost its configuration")]
    Restarted,
    /// The revision is gone although Traefik has not restarted: another client writes to its REST provider.
    #[error("revision {0} is not in force any more: something else has replaced the configuration")]
    Overwritten(Revision),
    /// An earlier configuration of this client came into force after a later one, because Traefik was slow to take it.
    #[error("revision {revision} is not in force any more: {instead} came into force late, which was sent before it")]
    Outdated {
        /// Revision that was in force, or should have come into force.
        revision: Revision,
        /// Earlier revision that is in force now.
        instead: Revision,
    },
    /// A response cannot be parsed, or is too long.
    #[error("Traefik's answer to {what} cannot be understood: {problem}")]
    Unintelligible {
        /// Request that was answered.
        what: &'static str,
        /// Fault of the response.
        problem: String,
        /// Error of the parser.
        source: Option<Cause>,
    },
    /// The client's own credentials cannot be read or sent.
    #[error("the credentials for Traefik cannot be read: {problem}")]
    Credentials {
        /// File and root cause, without the credentials.
        problem: String,
        /// Error of the file system or of the HTTP library.
        source: Option<Cause>,
    },
    /// Traefik has none of several routers in force as they were configured.
    #[error("Traefik has no router in force: {}", list_faults(faults))]
    NoneInForce {
        /// Reason for each router.
        faults: BTreeMap<Name, Error>,
    },
    /// Too few instances of a fleet have the configuration in force.
    #[error("{} of {of} Traefiks have not got the configuration in force: {}", failed.len(), list(failed))]
    Fleet {
        /// Label and error of each instance without the configuration.
        failed: Vec<(String, Error)>,
        /// Number of instances in the fleet.
        of: usize,
    },
}

impl Error {
    /// Creates an [`Unreachable`](Self::Unreachable) error without a source, for implementations of
    /// `ConfigSink` and tests.
    pub fn unreachable(reason: impl Into<String>) -> Self {
        Self::Unreachable { reason: reason.into(), source: None }
    }

    /// Returns the reason why none of several routers is in force: that of the only one, or all of them.
    #[cfg(feature = "client")]
    pub(crate) fn none_in_force(mut faults: BTreeMap<Name, Self>) -> Self {
        match faults.pop_first() {
            Some((_, only)) if faults.is_empty() => only,
            first => {
                faults.extend(first);
                Self::NoneInForce { faults }
            }
        }
    }

    #[cfg(feature = "client")]
    pub(crate) fn unintelligible(what: &'static str, error: serde_json::Error) -> Self {
        Self::Unintelligible { what, problem: error.to_string(), source: Some(error.into()) }
    }

    /// Returns whether the same configuration may succeed later without any other change.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused { status, .. } => *status >= 500 || *status == 408 || *status == 429,
            Self::EntryPointMissing { .. }
            | Self::RouterDisabled { .. }
            | Self::Dropped { .. }
            | Self::ServersDiffer { .. } => false,
            Self::NoneInForce { faults } => faults.values().any(Self::is_retryable),
            // An empty fleet may get instances with the next DNS lookup.
            Self::Fleet { failed, .. } => failed.is_empty() || failed.iter().any(|(_, error)| error.is_retryable()),
            _ => true,
        }
    }

    /// Returns a short name of the variant, for logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "unreachable",
            Self::NotReady(_) => "not ready",
            Self::Refused { .. } => "refused",
            Self::Dropped { .. } => "dropped",
            Self::NotApplied { .. } => "not applied",
            Self::EntryPointMissing { .. } => "entry point missing",
            Self::RouterDisabled { .. } => "router disabled",
            Self::ServersDiffer { .. } => "servers differ",
            Self::Restarted => "restarted",
            Self::Overwritten(_) => "overwritten",
            Self::Outdated { .. } => "outdated",
            Self::Unintelligible { .. } => "unintelligible",
            Self::Credentials { .. } => "credentials",
            Self::NoneInForce { .. } => "none in force",
            Self::Fleet { .. } => "fleet",
        }
    }
}

/// Returns the texts of `error` and of its sources, for messages on one line.
#[cfg(feature = "client")]
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn list(failed: &[(String, Error)]) -> String {
    let each: Vec<_> = failed.iter().map(|(instance, error)| format!("{instance}: {error}")).collect();
    if each.is_empty() { "there is none".to_owned() } else { each.join("; ") }
}

fn list_faults(faults: &BTreeMap<Name, Error>) -> String {
    faults.iter().map(|(router, error)| format!("{router}: {error}")).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn an_error_that_needs_a_repair_elsewhere_is_not_retryable() {
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

    #[test]
    fn an_error_keeps_its_source_when_it_is_cloned_and_says_its_text_once() {
        let refused = std::io::Error::other("connection refused");
        let error = Error::Unreachable { reason: refused.to_string(), source: Some(refused.into()) }.clone();
        assert_eq!(error.to_string(), "Traefik cannot be reached: connection refused");
        assert!(error.source().unwrap().is::<std::io::Error>());
        assert!(Error::unreachable("connection refused").source().is_none());
    }
}
