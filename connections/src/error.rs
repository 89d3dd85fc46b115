//! The errors of counting connections, with their causes.

use std::{fmt, io, net::SocketAddr};

/// An error that keeps connections from being counted.
///
/// The message does not repeat the cause, which is its [`source`](std::error::Error::source):
/// [`with_causes`](Self::with_causes) is the whole text, for logs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Neither way of reading the sockets of this network namespace works.
    #[error(
        "only round robin is possible, because the kernel's TCP sockets cannot be read: netlink failed ({}), and so \
         did the fallback, /proc/net/tcp",
        Chain(.netlink)
    )]
    Unavailable {
        /// Failure of netlink. It is part of the message, because an error has only one source.
        netlink: ReadError,
        /// Failure of `/proc/net/tcp`.
        #[source]
        procfs: ReadError,
    },
    /// The socket table could be read at start and cannot be read now.
    #[error("the kernel's TCP sockets cannot be read any more")]
    Lost(#[from] ReadError),
    /// The reading task ended without a result because the runtime is shutting down.
    #[error("reading the kernel's TCP sockets was cancelled")]
    Cancelled,
}

/// A failure of one way of reading sockets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The operating system refused an operation.
    #[error("{operation} failed")]
    Io {
        /// Operation that was tried, such as "opening a netlink socket".
        operation: &'static str,
        /// Error of the operating system.
        #[source]
        error: io::Error,
    },
    /// The table does not show a connection that was opened to prove that it can be read. A kernel without the module
    /// `tcp_diag` responds this way, and so do some sandboxes: with an empty table instead of an error.
    #[error("a connection opened to {0} as a proof is missing in the table; is the kernel module tcp_diag loaded?")]
    ProofMissing(SocketAddr),
    /// The kernel does not announce the end of a connection that was closed to prove that it does.
    #[error("the end of a connection to {0}, closed as a proof, was not announced")]
    AnnouncementMissing(SocketAddr),
    /// The kernel's counter of opened connections does not count a connection that was opened to prove that it does.
    #[error("the counter of opened connections in /proc/self/net/snmp does not count a connection opened as a proof")]
    UncountedOpening,
    /// The kernel dropped announcements of closed connections.
    #[error("the kernel dropped announcements of closed connections, because they were not received fast enough")]
    Overrun,
    /// A file of `/proc` does not have the documented format.
    #[error("{0} does not have the documented format")]
    MalformedFile(&'static str),
    /// A netlink message does not have the documented layout.
    #[error("a netlink message of the kernel cannot be decoded")]
    Undecodable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The length of a netlink message contradicts the data received.
    #[error("a netlink message claims a length of {claimed} bytes in a response of {received} bytes")]
    InvalidLength {
        /// Length in the header of the message, in bytes.
        claimed: usize,
        /// Length of the response from this message on, in bytes.
        received: usize,
    },
    /// A line of `/proc/net/tcp` does not have the documented format.
    #[error("a line of the table cannot be parsed: {0:?}")]
    MalformedLine(String),
}

impl Error {
    /// Returns the message followed by all its causes, each once.
    pub fn with_causes(&self) -> impl fmt::Display + '_ {
        Chain(self)
    }
}

impl ReadError {
    pub(crate) fn io(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { operation, error }
    }

    pub(crate) fn undecodable(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Undecodable(Box::new(error))
    }
}

/// Displays an error and all its causes, separated by colons.
pub(crate) struct Chain<'a>(pub(crate) &'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    fn refused() -> ReadError {
        ReadError::io("opening a netlink socket")(io::ErrorKind::PermissionDenied.into())
    }

    #[test]
    fn the_error_of_the_operating_system_is_the_source() {
        let lost = Error::from(refused());
        let read_error = lost.source().unwrap().downcast_ref::<ReadError>().unwrap();
        let io_error = read_error.source().unwrap().downcast_ref::<io::Error>().unwrap();
        assert_eq!(io_error.kind(), io::ErrorKind::PermissionDenied);
    }

    #[test]
    fn a_failure_to_decode_is_the_source() {
        let error = ReadError::undecodable(fmt::Error);
        assert!(error.source().unwrap().is::<fmt::Error>());
    }

    #[test]
    fn both_ways_of_reading_are_in_the_chain_once() {
        let proof = ReadError::ProofMissing("127.0.0.1:1".parse().unwrap());
        let error = Error::Unavailable { netlink: refused(), procfs: proof };
        assert!(error.source().unwrap().is::<ReadError>());
        assert_eq!(
            error.with_causes().to_string(),
            "only round robin is possible, because the kernel's TCP sockets cannot be read: netlink failed (opening a \
             netlink socket failed: permission denied), and so did the fallback, /proc/net/tcp: a connection opened to \
             127.0.0.1:1 as a proof is missing in the table; is the kernel module tcp_diag loaded?"
        );
    }
}
