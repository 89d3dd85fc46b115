//! Connections that have opened and were not found yet.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, VecDeque},
    net::SocketAddr,
};

/// Connections that have opened and that no sample has found, oldest first.
///
/// Without them, a backend whose new connections are not found would stay the emptiest, and get all others too.
#[derive(Debug, Default)]
pub(crate) struct Presumed(VecDeque<PresumedConnection>);

/// A connection that is presumed to be where the plan in force at that time sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PresumedConnection {
    pub(crate) backend: SocketAddr,
    /// The plan that has placed it: the one that is in force now, or one before.
    pub(crate) placed_by: PlacedBy,
}

/// The plan that has placed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PlacedBy {
    PlanInForce,
    PlanBefore,
}

/// Connections that were presumed and have been found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) connections: u32,
    /// Number of them that a plan before the one in force has placed.
    pub(crate) placed_before: u32,
}

/// Number of connections that are presumed at most; a sample that misses more says nothing of use.
pub(crate) const MAX_PRESUMED: u32 = 256;

/// A backend with what the plan has left for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remainder {
    pub(crate) backend: SocketAddr,
    /// Connections per share that it is still to get before the others with less.
    pub(crate) connections: f64,
    pub(crate) shares: f64,
}

impl Presumed {
    /// Takes in that `unseen` connections have not been found. Returns how many have to be presumed in addition, and those
    /// that no longer are.
    pub(crate) fn adjust(&mut self, unseen: u32) -> (usize, Vec<PresumedConnection>) {
        let unseen = unseen.min(MAX_PRESUMED) as usize;
        // Which of them were found is unknown: the oldest have had the most time to be.
        let found = self.0.drain(..self.0.len().saturating_sub(unseen)).collect();
        (unseen - self.0.len(), found)
    }

    /// Takes in that `opened` connections to a backend were found. Returns how many of them were presumed.
    pub(crate) fn found(&mut self, backend: SocketAddr, opened: u32) -> Found {
        let mut found = Found::default();
        self.0.retain(|presumed| {
            let is_found = presumed.backend == backend && found.connections < opened;
            found.connections += u32::from(is_found);
            found.placed_before += u32::from(is_found && presumed.placed_by == PlacedBy::PlanBefore);
            !is_found
        });
        found
    }

    /// Adds connections that the plan in force has placed.
    pub(crate) fn add(&mut self, backends: impl IntoIterator<Item = SocketAddr>) {
        let placed = |backend| PresumedConnection { backend, placed_by: PlacedBy::PlanInForce };
        self.0.extend(backends.into_iter().map(placed));
    }

    /// Takes in that another plan is in force.
    pub(crate) fn pushed(&mut self) {
        for presumed in &mut self.0 {
            presumed.placed_by = PlacedBy::PlanBefore;
        }
    }
}

/// Returns where the next `count` connections go by weighted round robin.
pub(crate) fn next_picks(backends: impl IntoIterator<Item = Remainder>, count: usize) -> Vec<SocketAddr> {
    let mut heap: BinaryHeap<Remainder> = if count > 0 { backends.into_iter().collect() } else { BinaryHeap::new() };
    let mut picks = Vec::new();
    while picks.len() < count {
        let Some(mut next) = heap.peek_mut() else { break };
        next.connections -= 1.0 / next.shares;
        picks.push(next.backend);
    }
    picks
}

impl Ord for Remainder {
    fn cmp(&self, other: &Self) -> Ordering {
        // Entries of the same weight are served in their order in the plan, which is nearly that of the addresses.
        self.connections.total_cmp(&other.connections).then(other.backend.cmp(&self.backend))
    }
}

impl PartialOrd for Remainder {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Remainder {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Remainder {}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(last: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, last], 80))
    }

    fn remainder(last: u8, connections: f64, shares: f64) -> Remainder {
        Remainder { backend: backend(last), connections, shares }
    }

    #[test]
    fn the_next_connections_go_where_most_is_left() {
        let backends = [remainder(1, 3.0, 1.0), remainder(2, 5.0, 1.0), remainder(3, 4.0, 2.0)];
        assert_eq!(next_picks(backends, 5), [2, 2, 3, 3, 1].map(backend));
        assert_eq!(next_picks([], 5), []);
    }

    fn placed(last: u8, placed_by: PlacedBy) -> PresumedConnection {
        PresumedConnection { backend: backend(last), placed_by }
    }

    #[test]
    fn found_connections_are_no_longer_presumed_oldest_first() {
        let mut presumed = Presumed::default();
        assert_eq!(presumed.adjust(3), (3, vec![]));
        presumed.add([1, 2, 3].map(backend));
        assert_eq!(presumed.adjust(5), (2, vec![]));
        presumed.pushed();
        presumed.add([4, 5].map(backend));
        assert_eq!(presumed.adjust(3), (0, [1, 2].map(|last| placed(last, PlacedBy::PlanBefore)).to_vec()));
        let [before, four, five] =
            [placed(3, PlacedBy::PlanBefore), placed(4, PlacedBy::PlanInForce), placed(5, PlacedBy::PlanInForce)];
        assert_eq!(presumed.adjust(0), (0, vec![before, four, five]));
    }

    #[test]
    fn a_connection_that_is_found_where_it_was_presumed_is_no_longer_presumed() {
        let mut presumed = Presumed::default();
        presumed.add([1, 2, 1].map(backend));
        presumed.pushed();
        presumed.add([1].map(backend));
        assert_eq!(presumed.found(backend(1), 1), Found { connections: 1, placed_before: 1 });
        assert_eq!(presumed.found(backend(3), 2), Found::default());
        assert_eq!(presumed.found(backend(1), 5), Found { connections: 2, placed_before: 1 });
        assert_eq!(presumed.adjust(0), (0, vec![placed(2, PlacedBy::PlanBefore)]));
    }

    #[test]
    fn the_number_of_presumed_connections_is_bounded() {
        assert_eq!(Presumed::default().adjust(u32::MAX).0, MAX_PRESUMED as usize);
    }
}
