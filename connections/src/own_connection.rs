//! A connection of this process to itself, to prove things with.

use std::{
    io::{self, Read},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

/// A connection of this process to itself.
pub(crate) struct OwnConnection {
    from: SocketAddr,
    to: SocketAddr,
    stream: TcpStream,
    _listener: TcpListener,
}

impl OwnConnection {
    pub(crate) fn open() -> io::Result<Self> {
        let listener = TcpListener::bind(
            [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), (Ipv6Addr::LOCALHOST, 0).into()].as_slice(),
        )?;
        let stream = TcpStream::connect(listener.local_addr()?)?;
        Ok(Self { from: stream.local_addr()?, to: stream.peer_addr()?, stream, _listener: listener })
    }

    /// Returns the local address.
    pub(crate) fn from(&self) -> SocketAddr {
        self.from
    }

    /// Returns the remote address.
    pub(crate) fn to(&self) -> SocketAddr {
        self.to
    }

    /// Returns `true` if the kernel has closed it for both sides. It blocks for a second if not.
    pub(crate) fn was_aborted(mut self) -> bool {
        let _ = self.stream.set_read_timeout(Some(Duration::from_secs(1)));
        matches!(self.stream.read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::ConnectionAborted)
    }
}
