//! Least connections: what those who close connections on purpose ask and report.

use std::{collections::BTreeSet, net::SocketAddr};

use super::LeastConnections;
use crate::tracked::Tracked;

impl LeastConnections {
    /// Takes in that a connection of `backend` was closed on purpose: the fall of the count says nothing about the backend.
    pub fn closed_on_purpose(&mut self, backend: SocketAddr) {
        if let Some(tracked) = self.backends.get_mut(&backend) {
            tracked.guard.closed_on_purpose();
        }
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
}
