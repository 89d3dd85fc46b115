//! Limits of the connections of backends, as their user chooses them, and the state of one.

/// Limit of the connections of each backend, through all replicas together.
///
/// It is soft: the proxy knows no limit, so what is over is what opens between a count and the push that follows it, and what
/// siblings have not reported yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// Maximum number of connections of a backend that has no limit of its own; `None` for any number.
    pub max_connections: Option<u32>,
    /// Destination of new connections while all backends are full.
    pub overflow: Overflow,
}

/// Destination of new connections while all backends are full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The proxy closes them at once.
    #[default]
    Refuse,
    /// The proxy goes on as if there were no limit.
    Spread,
}

/// State of the limit of a pool at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitState {
    /// Maximum number of connections of all backends that take connections.
    pub max_connections: u64,
    /// Connections of these backends, through all replicas that are known.
    pub connections: u64,
    /// Set if this replica's part of the free places is used up.
    pub is_full: bool,
    /// Destination of new connections while that is so.
    pub overflow: Overflow,
}
