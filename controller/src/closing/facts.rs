//! The numbers behind the closings of a pool.

/// The numbers behind the closings of a pool at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClosingFacts {
    /// Connections that were closed on purpose, and whose clients have not come back yet.
    pub away: u64,
    /// Connections that are still to be closed for the present reason.
    pub left: u64,
    /// Described connections on which the last data certainly came from the backend.
    pub answered: u64,
    /// Described connections on which a request may be in progress.
    pub asked: u64,
    /// Described connections of which that is not known.
    pub unknown: u64,
    /// Set if orders are only shown: that was asked for, or there is no closer that can close connections.
    pub is_dry_run: bool,
}
