use std::{io, net::SocketAddr};

/// Why the connections cannot be counted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither way of reading the sockets of this network namespace works.
    #[error(
        "the kernel's TCP sockets cannot be read, neither by netlink ({netlink}) nor from /proc/net/tcp ({procfs}); \
         without counts only round robin is possible"
    )]
    Unavailable {
        /// What is wrong with the first way.
        netlink: Unreadable,
        /// What is wrong with the second way.
        procfs: Unreadable,
    },
    /// A table that could be read at start cannot be read now.
    #[error("the kernel's TCP sockets cannot be read any more: {0}")]
    Lost(#[from] Unreadable),
    /// The task that reads ended without an answer: the runtime is shutting down.
    #[error("reading the kernel's TCP sockets was cancelled")]
    Cancelled,
}

/// What is wrong with one way of reading sockets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// The operating system refused.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the operating system said.
        error: io::Error,
    },
    /// A connection made to prove the reading is missing in the answer. That is how a kernel without the module
    /// `tcp_diag`, and some sandboxes, answer: an empty table instead of an error.
    #[error("an own connection to {0} is missing in the answer (is the kernel module tcp_diag there?)")]
    Unseen(SocketAddr),
    /// The table changed while it was read, each time.
    #[error("the table changed during each of {0} attempts to read it")]
    Interrupted(u32),
    /// What came is not what the kernel documents.
    #[error("not intelligible: {0}")]
    Unintelligible(String),
}

impl Unreadable {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { what, error }
    }
}
