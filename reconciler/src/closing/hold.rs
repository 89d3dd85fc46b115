//! The reasons that keep a pool from closing connections.

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
    /// The connections closed in the last hour are enough.
    Budget,
    /// No connection is answered and quiet.
    NoCandidate,
}
