//! Least connections: what those who close connections on purpose ask and report.

use std::{collections::BTreeSet, net::SocketAddr, time::Instant};

use super::LeastConnections;
use crate::tracked::Tracked;

impl LeastConnections {
    /// Takes in that a connection of `backend` was closed on purpose: neither its end nor the fall of the count says
    /// anything about the backend.
    pub fn closed_on_purpose(&mut self, backend: SocketAddr, now: Instant) {
        if let Some(tracked) = self.backends.get_mut(&backend) {
            tracked.guard.closed_on_purpose();
            self.on_purpose.closed(backend, now);
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
