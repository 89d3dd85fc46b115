//! The words for states, results and reasons that the status document, the metrics and the command line share.
//!
//! The text of each word is its serialized form and is written here only. A status may come from a newer ilb, so a word
//! that this ilb does not know is read as `unknown`.

use std::{cmp::Reverse, fmt};

use ilb_discovery::State;
use ilb_reconciler::{Method, Reason, decision::Standing};
use serde::{Deserialize, Serialize};

/// State of a backend, by discovery and by its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum BackendState {
    Ready,
    /// Ready for discovery, but it does not answer.
    Suspect,
    /// Ready for discovery, but it ends the connections that it accepts.
    Failing,
    Draining,
    #[serde(rename = "not ready")]
    NotReady,
    #[serde(other)]
    Unknown,
}

/// State of the configuration in Traefik.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TraefikState {
    /// Waiting for the first push.
    Waiting,
    Updating,
    #[serde(rename = "in force")]
    InForce,
    Failing,
    #[serde(other)]
    Unknown,
}

/// State of the pushes with regard to failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PushState {
    /// No failure is outstanding.
    Idle,
    /// A failed push is being repeated.
    Retrying,
    /// The last push or proof failed, and the pause before the next push is not over.
    Waiting,
    #[serde(other)]
    Unknown,
}

/// Reason of a push: that of the newest decision in it, or a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PushReason {
    Freshness,
    Balance,
    Counting,
    Blind,
    Capacity,
    Limit,
    Suspicion,
    Drain,
    Backends,
    /// The push only restores what was in force before.
    Repair,
    #[serde(other)]
    Unknown,
}

/// Result of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum PushResult {
    #[serde(rename = "in force")]
    InForce,
    /// Some pools are in force, and some are not.
    Partly,
    Failed,
    #[serde(other)]
    Unknown,
}

/// Method by which a pool is configured to be balanced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum BalancingMethod {
    #[serde(rename = "leastconn")]
    LeastConnections,
    #[serde(rename = "roundrobin")]
    RoundRobin,
    #[serde(rename = "unknown", other)]
    Unknown,
}

/// State of the view of a pool's backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum DiscoveryState {
    Starting,
    #[serde(rename = "up to date")]
    UpToDate,
    Stale,
    #[serde(other)]
    Unknown,
}

/// State of the counting of a pool's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CountingState {
    Counting,
    Impossible,
    /// Connections are not counted, or have not been yet.
    Off,
    #[serde(other)]
    Unknown,
}

/// Operation on Traefik that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operation {
    Push,
    Proof,
}

/// Result of reading changed settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reload {
    Applied,
    /// The new settings are wrong; the previous ones stay in effect.
    Refused,
}

/// State of an ilb or of a pool as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// Clients are served.
    Ready,
    /// The configuration is in force, and clients may be hurt.
    Degraded,
    /// Traefik may still be starting: no configuration has been in force yet.
    Starting,
    /// The configuration is not verified in Traefik.
    #[serde(rename = "not ready")]
    NotReady,
    #[default]
    #[serde(other)]
    Unknown,
}

/// Kind of an event in the log of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EventKind {
    /// A pool is served, is no longer served, has lost its last ready backend or has one again.
    Pool,
    /// A backend is new.
    Came,
    /// A backend is no longer there.
    Left,
    /// A backend has become ready.
    Ready,
    /// A backend has begun to drain.
    Draining,
    /// A backend is no longer ready.
    #[serde(rename = "not ready")]
    NotReady,
    /// Containers of a backend's pod have been restarted.
    Restarted,
    Suspect,
    Failing,
    /// A backend is no longer suspect or failing.
    Back,
    /// An object of the source has a mistake, such as a pod that is refused.
    Refused,
    /// The source is lost or found.
    Discovery,
    /// Connections can no longer be counted, or can again.
    Counting,
    Traefik,
    Closing,
    Sibling,
    Settings,
    #[serde(other)]
    Unknown,
}

/// Severity of a state for an operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Ok,
    Warning,
    Error,
    #[default]
    #[serde(other)]
    Unknown,
}

impl BackendState {
    /// All states that a backend may have, the ordinary one first.
    pub(crate) const ALL: [Self; 5] = [Self::Ready, Self::Suspect, Self::Failing, Self::Draining, Self::NotReady];

    /// Returns what a list of a few backends is chosen by: first those that are in trouble, then others that are not
    /// ready, then those with most connections.
    pub(crate) fn interest(self, established: Option<u32>) -> (u8, Reverse<Option<u32>>) {
        let rank = match self {
            Self::Suspect | Self::Failing => 0,
            Self::Draining | Self::NotReady | Self::Unknown => 1,
            Self::Ready => 2,
        };
        (rank, Reverse(established))
    }
}

impl PushState {
    /// All states that the pushes may have.
    pub(crate) const ALL: [Self; 3] = [Self::Idle, Self::Retrying, Self::Waiting];
}

impl Level {
    /// All levels that an ilb or a pool may have, the best one first.
    pub(crate) const ALL: [Self; 4] = [Self::Ready, Self::Degraded, Self::Starting, Self::NotReady];

    /// Returns the severity of the level itself, whatever its reasons are.
    pub(crate) fn severity(self) -> Severity {
        match self {
            Self::Ready => Severity::Ok,
            Self::Degraded | Self::Starting | Self::Unknown => Severity::Warning,
            Self::NotReady => Severity::Error,
        }
    }
}

impl Reload {
    /// All results of reading changed settings.
    pub(crate) const ALL: [Self; 2] = [Self::Applied, Self::Refused];
}

impl From<State> for BackendState {
    fn from(state: State) -> Self {
        match state {
            State::Ready => Self::Ready,
            State::Draining => Self::Draining,
            State::NotReady => Self::NotReady,
            _ => Self::Unknown,
        }
    }
}

impl From<Standing> for BackendState {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::State(state) => state.into(),
            Standing::Suspect => Self::Suspect,
            Standing::Failing => Self::Failing,
            _ => Self::Unknown,
        }
    }
}

impl From<Reason> for PushReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Freshness => Self::Freshness,
            Reason::Balance => Self::Balance,
            Reason::Counting => Self::Counting,
            Reason::Blind => Self::Blind,
            Reason::Capacity => Self::Capacity,
            Reason::Limit => Self::Limit,
            Reason::Suspicion => Self::Suspicion,
            Reason::Drain => Self::Drain,
            Reason::Backends => Self::Backends,
            _ => Self::Unknown,
        }
    }
}

impl From<Method> for BalancingMethod {
    fn from(method: Method) -> Self {
        match method {
            Method::LeastConnections => Self::LeastConnections,
            Method::RoundRobin => Self::RoundRobin,
        }
    }
}

/// Displays words as they are serialized.
macro_rules! display_as_serialized {
    ($($word:ty),*) => {$(
        impl fmt::Display for $word {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.serialize(f)
            }
        }
    )*};
}

display_as_serialized!(BackendState, EventKind, Level, PushState, PushReason, PushResult, Operation, Reload);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_libraries() {
        for state in [State::Ready, State::Draining, State::NotReady] {
            assert_eq!(BackendState::from(state).to_string(), state.as_str());
        }
        for standing in [Standing::Suspect, Standing::Failing] {
            assert_eq!(BackendState::from(standing).to_string(), standing.to_string());
        }
        for method in [Method::LeastConnections, Method::RoundRobin] {
            assert_eq!(serde_json::to_value(BalancingMethod::from(method)).unwrap(), method.as_str());
        }
        for reason in [
            Reason::Freshness,
            Reason::Balance,
            Reason::Counting,
            Reason::Blind,
            Reason::Capacity,
            Reason::Limit,
            Reason::Suspicion,
            Reason::Drain,
            Reason::Backends,
        ] {
            assert_eq!(PushReason::from(reason).to_string(), reason.as_str());
        }
    }

    #[test]
    fn words_of_a_newer_ilb_are_read_as_unknown() {
        assert_eq!(serde_json::from_str::<BackendState>(r#""not ready""#).unwrap(), BackendState::NotReady);
        assert_eq!(serde_json::from_str::<BackendState>(r#""dozing""#).unwrap(), BackendState::Unknown);
        assert_eq!(serde_json::from_str::<PushReason>(r#""whim""#).unwrap(), PushReason::Unknown);
        assert_eq!(serde_json::from_str::<BalancingMethod>(r#""random""#).unwrap(), BalancingMethod::Unknown);
    }
}
