//! The reasons that keep a pool from closing connections.

use std::fmt;

use crate::closing::pauses::PauseReason;

/// A reason that keeps a pool from closing connections that it would close otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hold {
    /// A closing went wrong.
    Paused(PauseReason),
    /// Discovery is not up to date.
    StaleBackends,
    /// The configuration is not proved to be in force.
    NotInForce,
    /// Connections cannot be counted, or have not been for seconds.
    StaleCounts,
    /// The balancer or the proxy started a moment ago.
    Starting,
    /// A backend is suspect or failing, or a probe is out.
    Suspects,
    /// Some of the other replicas are not heard, or do not count the connections of the pool.
    SiblingsNotHeard,
    /// No other backend is ready.
    NoOtherBackend,
    /// The time of day is outside of the maintenance window.
    OutsideWindow,
    /// Orders for another reason have no result yet.
    OtherReason,
    /// Another pool closes connections.
    OtherPool,
    /// Clients have to come back first.
    ClientsAway,
    /// A client that comes back now would not get to one of the emptiest backends.
    Crowded,
    /// The connections closed in the last hour are enough.
    Budget,
    /// No connection is answered and quiet.
    NoCandidate,
}

impl Hold {
    /// Returns the name used in metrics and documents.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paused(PauseReason::CloserFailed) => "closer-failed",
            Self::Paused(PauseReason::ClientsStayAway) => "clients-stay-away",
            Self::StaleBackends => "stale-backends",
            Self::NotInForce => "not-in-force",
            Self::StaleCounts => "stale-counts",
            Self::Starting => "starting",
            Self::Suspects => "suspects",
            Self::SiblingsNotHeard => "siblings-not-heard",
            Self::NoOtherBackend => "no-other-backend",
            Self::OutsideWindow => "outside-window",
            Self::OtherReason => "other-reason",
            Self::OtherPool => "other-pool",
            Self::ClientsAway => "clients-away",
            Self::Crowded => "crowded",
            Self::Budget => "budget",
            Self::NoCandidate => "no-candidate",
        }
    }
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Paused(reason) => return reason.fmt(f),
            Self::StaleBackends => "the backends may be out of date",
            Self::NotInForce => "the configuration is not verified in Traefik",
            Self::StaleCounts => "connections are not counted",
            Self::Starting => "ilb or Traefik started a moment ago",
            Self::Suspects => "a backend is in doubt",
            Self::SiblingsNotHeard => "not all replicas are heard, or one does not count this pool",
            Self::NoOtherBackend => "no other backend is ready",
            Self::OutsideWindow => "it is not the time of day",
            Self::OtherReason => "connections are being closed for another reason",
            Self::OtherPool => "connections of another pool are being closed",
            Self::ClientsAway => "clients have to come back first",
            Self::Crowded => "other new connections take the places on the emptiest backends",
            Self::Budget => "enough were closed in the last hour",
            Self::NoCandidate => "no connection is answered and quiet at this moment",
        };
        f.write_str(text)
    }
}
