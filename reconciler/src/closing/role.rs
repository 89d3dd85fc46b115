//! Leaves backends at once that no longer match the selector.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::closing::{Closing, ClosingState, Conditions, Deciding, How, Why};

/// Time in which a backend that left may come back as if nothing had happened.
const GRACE: Duration = Duration::from_millis(200);

/// Closings a second. A proxy takes 400 in 20 ms; the limit is for the backend to which the clients go.
pub(crate) const MAX_ABORTS_PER_SECOND: u32 = 200;

impl Closing {
    pub(crate) fn wants_role(&self, now: Instant) -> bool {
        self.left_backends(now).next().is_some()
    }

    pub(crate) fn next_role(&self, _: Instant) -> Option<Instant> {
        self.policy.role?;
        self.knowledge.left().filter_map(|(_, since)| self.role_begins(since)).min()
    }

    /// Closes all connections of the backends that left.
    pub(crate) fn close_for_role(&mut self, deciding: &mut Deciding<'_>) -> (ClosingState, Option<Instant>) {
        let backends: Vec<SocketAddr> = self.left_backends(deciding.now).collect();
        self.abort_all(deciding, &backends, Why::Role)
    }

    /// Closes all connections of these backends, whatever goes on, as many as are due.
    pub(crate) fn abort_all(
        &mut self,
        deciding: &mut Deciding<'_>,
        backends: &[SocketAddr],
        why: Why,
    ) -> (ClosingState, Option<Instant>) {
        let mut ask_again = None;
        'all: for backend in backends {
            let connections: Vec<_> = self.connections_of(*backend, deciding.now).copied().collect();
            for one in connections {
                if !self.ledger.pace.is_due(MAX_ABORTS_PER_SECOND, deciding.now) {
                    ask_again = Some(self.ledger.pace.next(MAX_ABORTS_PER_SECOND, deciding.now));
                    break 'all;
                }
                self.order(deciding, &one, why, How::Abort, Conditions::NONE);
                self.ledger.pace.took(Duration::from_secs(1) / MAX_ABORTS_PER_SECOND, deciding.now);
            }
        }
        let left = backends.iter().map(|backend| self.knowledge.connections_left(*backend, &self.ledger)).sum();
        (ClosingState::Closing { why, left }, ask_again)
    }

    /// Returns the backends that left for good, and that have connections.
    fn left_backends(&self, now: Instant) -> impl Iterator<Item = SocketAddr> + '_ {
        let is_due = move |since| self.role_begins(since).is_some_and(|begin| begin <= now);
        let left = self.knowledge.left().filter(move |(_, since)| self.policy.role.is_some() && is_due(*since));
        left.map(|(backend, _)| backend).filter(|backend| self.has_connections(*backend))
    }

    /// Returns the moment from which on the connections of a backend that left at `since` are closed.
    fn role_begins(&self, since: Instant) -> Option<Instant> {
        let has_successor = self.knowledge.ready().next().is_some();
        let wait = self.policy.role?.wait_for_successor;
        since.checked_add(if has_successor { GRACE } else { wait.max(GRACE) })
    }
}
