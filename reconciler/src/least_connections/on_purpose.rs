//! Least connections: what those who close connections on purpose ask and report.

use std::{cmp::Ordering, collections::BTreeSet, net::SocketAddr};

use super::LeastConnections;
use crate::{presumed::Remainder, tracked::Tracked};

impl LeastConnections {
    /// Takes in that a connection of `backend` was closed on purpose: the fall of the count says nothing about the backend.
    pub fn closed_on_purpose(&mut self, backend: SocketAddr) {
        if let Some(tracked) = self.backends.get_mut(&backend) {
            tracked.guard.closed_on_purpose();
        }
    }

    /// Takes in whether connections are closed on purpose now. While they are, samples are rarer: most of the changes that
    /// they would show are expected.
    pub fn closes_on_purpose(&mut self, is_closing: bool) {
        self.sampling.expect_changes(is_closing);
    }

    /// Returns `true` if the last attempt to count connections succeeded.
    pub fn is_counting(&self) -> bool {
        self.can_count()
    }

    /// Returns the ready backends that are suspect or failing, or that a probe is due for or out.
    pub fn in_doubt(&self) -> BTreeSet<SocketAddr> {
        let is_in_doubt = |tracked: &Tracked| {
            tracked.is_suspect() || tracked.is_failing() || tracked.is_ready() && tracked.guard.is_doubted()
        };
        self.backends.iter().filter(|(_, tracked)| is_in_doubt(tracked)).map(|(address, _)| *address).collect()
    }

    /// Returns the backends that the next connections go to by the plan in force, one for each connection that is expected
    /// until a later plan could be in force; none while that is unknown. Of those that may be next, the fullest comes first.
    pub fn next_backends(&self) -> Vec<SocketAddr> {
        let Some(in_force) = self.in_force.as_ref().filter(|_| self.can_count()) else { return Vec::new() };
        let load =
            |backend: &SocketAddr| self.backends.get(backend).map_or(0.0, |tracked| tracked.connections().into());
        let mut queue: Vec<_> =
            in_force.remainders(self.backends.values()).map(|left| (load(&left.backend), left)).collect();
        let mut next = Vec::new();
        for _ in 0..self.arrivals.expected() {
            let order = |(load, left): &(f64, Remainder), (other_load, other): &(f64, Remainder)| -> Ordering {
                let is_first = left.connections.total_cmp(&other.connections);
                is_first.then((load / left.shares).total_cmp(&(other_load / other.shares)))
            };
            let Some((load, left)) = queue.iter_mut().max_by(|a, b| order(a, b)) else { break };
            *load += 1.0;
            left.connections -= 1.0 / left.shares;
            next.push(left.backend);
        }
        next
    }
}
