//! The free places of a pool, of which each replica fills its part.

use std::net::SocketAddr;

use super::{Siblings, blend::shares, intake::Intake};

impl Siblings {
    /// Returns the connections to these backends, which are in the order of addresses, through all replicas that are known,
    /// and whether this replica's part of the free places is used up. At most `max` connections are wanted.
    ///
    /// A sibling that is silent keeps its last counts and its share: its connections may well be there. Of the places that were
    /// free when the oldest report was counted, this replica fills its share of the arrivals, and what has opened here since
    /// then counts in full.
    pub(crate) fn fill(&self, own: &[(SocketAddr, u32)], max: u64) -> (u64, bool) {
        let backends: Vec<SocketAddr> = own.iter().map(|(backend, _)| *backend).collect();
        let own_now: u64 = own.iter().map(|(_, connections)| u64::from(*connections)).sum();
        let theirs: u64 = self.connections_of_all(&backends).into_iter().sum();
        let Some(oldest) = self.others.values().min_by_key(|sibling| sibling.counted_at) else {
            return (own_now, own_now >= max);
        };
        let own_then: u64 = oldest.own_then.connections.of(backends.iter().copied()).map(u64::from).sum();
        let weight = |intake: &Intake| intake.weight(self.opened_by_all, self.others.len() + 1);
        let (share, _) = shares(weight(&self.intake), self.others.values().map(|sibling| weight(&sibling.intake)));
        let count = |connections: u64| {
            #[expect(clippy::cast_precision_loss, reason = "no pool has as many connections")]
            let connections = connections as f64;
            connections
        };
        let free = count(max) - count(own_then) - count(theirs);
        let room = share * free - (count(own_now) - count(own_then));
        (own_now.saturating_add(theirs), room <= 0.0)
    }

    /// Returns the connections of all siblings to each of these backends, which are in the order of addresses. Silent ones
    /// count as they were.
    pub(crate) fn connections_of_all(&self, backends: &[SocketAddr]) -> Vec<u64> {
        let mut sums = vec![0; backends.len()];
        for sibling in self.others.values() {
            for (sum, connections) in sums.iter_mut().zip(sibling.connections.of(backends.iter().copied())) {
                *sum += u64::from(connections);
            }
        }
        sums
    }
}
