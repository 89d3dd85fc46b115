//! A live connection, as those who may close it see it.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// A live connection to a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connection {
    /// Number that the kernel gives to no other socket.
    pub cookie: u64,
    /// Address of this side.
    pub local: SocketAddr,
    /// Address of the backend.
    pub backend: SocketAddr,
    /// Moment at which it was first seen.
    pub first_seen: Instant,
    /// Set if it was opened no more than a few seconds before it was first seen. Otherwise it may be of any age.
    pub is_age_known: bool,
    /// Unset if the backend has not accepted it yet (SYN-SENT).
    pub is_established: bool,
    /// The side that the last data came from.
    pub answered: Answered,
    /// Time since data was sent or received.
    pub quiet: Duration,
    /// Set if no data waits in the kernel in either direction.
    pub has_empty_queues: bool,
}

/// Tells whether the last data on a connection came from the backend, as far as the kernel shows.
///
/// What the data means is not known: a connection with an open transaction, or one that waits for messages, may look
/// answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answered {
    /// The backend has sent data since this side did.
    Yes,
    /// The backend has not sent data since this side did: a request may be in progress.
    No,
    /// Both have sent data within one tick of the kernel, or neither ever has.
    Unknown,
}

impl Connection {
    /// Creates an established connection that was first seen at this moment, when it was opened: answered, quiet since
    /// then, with empty queues.
    pub fn new(cookie: u64, local: SocketAddr, backend: SocketAddr, first_seen: Instant) -> Self {
        Self {
            cookie,
            local,
            backend,
            first_seen,
            is_age_known: true,
            is_established: true,
            answered: Answered::Yes,
            quiet: first_seen.elapsed(),
            has_empty_queues: true,
        }
    }
}
