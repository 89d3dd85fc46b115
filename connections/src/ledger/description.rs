//! Describes the connections that are known.

use std::time::Instant;

use crate::{
    connection::Connection,
    ledger::Ledger,
    socket::{Socket, State},
};

impl Ledger {
    /// Returns when a connection was first seen, and whether it had been opened only a moment before.
    pub(crate) fn first_seen(&self, cookie: u64) -> Option<(Instant, bool)> {
        self.connections.get(&cookie).map(|known| (known.first_seen, known.is_age_known))
    }

    /// Returns the description of a connection that counts and that this side has not ended; `None` for any other socket.
    pub(crate) fn describe(&self, socket: &Socket) -> Option<Connection> {
        let known = self.connections.get(&socket.identity).filter(|known| known.counts)?;
        let activity = socket.activity.filter(|activity| activity.can_send && socket.is_held())?;
        Some(Connection {
            cookie: socket.identity,
            local: socket.local,
            backend: socket.remote,
            first_seen: known.first_seen,
            is_age_known: known.is_age_known,
            is_established: socket.state != State::Opening,
            answered: activity.answered(),
            quiet: activity.quiet(),
            has_empty_queues: activity.queues_are_empty(),
        })
    }
}
