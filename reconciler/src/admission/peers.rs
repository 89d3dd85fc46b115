//! The measure of a backend: what becomes of the connections of its peers, and how many they have.

use crate::outcomes::{Outcomes, Sign};

/// Facts about the other backends of the pool when a backend is judged.
pub(crate) struct Peers<'a> {
    /// Returns the share of recent connections that usually ends with a sign.
    pub(crate) usual: &'a dyn Fn(Sign) -> Option<f64>,
    /// Set if any backend of the pool works, as far as is known.
    pub(crate) any_works: bool,
    /// Outcomes of all connections of open backends.
    pub(crate) total: Outcomes,
    /// Mean number of connections per share of capacity on open backends; `None` without any.
    pub(crate) mean_load: Option<f64>,
}

/// Connections of the backend that is judged.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    /// Live connections.
    pub(crate) connections: u32,
    /// Number of connections from which on the backend is about as full as those of its peers that are open; `None` where
    /// there are none.
    pub(crate) level: Option<u32>,
}

impl Load {
    /// Creates the load of a backend with this many connections, which would have `as_full_as_peers` if it were as full as
    /// its open peers on average.
    pub(crate) fn new(connections: u32, as_full_as_peers: Option<f64>) -> Self {
        // Counts are whole, and those of equal backends differ by chance.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts are below 2^32")]
        let level = as_full_as_peers.map(|mean| (mean * PART_OF_MEAN) as u32);
        Self { connections, level }
    }
}

/// Part of the mean load of the open peers from which on a backend is about as full as they are.
const PART_OF_MEAN: f64 = 0.875;

/// Totals at the moment from which on a backend and its peers are compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    pub(super) own: Outcomes,
    pub(super) peers: Outcomes,
}

/// Share of connections that is taken to end with a sign where nothing is known.
pub(super) const UNKNOWN_USUAL: f64 = 0.5;

/// Returns the share that a backend may have which is somewhat worse than its peers, and still works.
pub(super) fn with_margin(share: f64) -> f64 {
    (share * 1.5 + 0.01).min(0.95)
}
