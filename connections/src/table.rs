//! The kernel's socket table, read in the best way that is proved to work.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
};

use crate::{
    error::{Chain, Error, ReadError},
    netlink::Netlink,
    procfs,
    socket::{Pass, Query, Socket, State},
};

/// A way of reading the kernel's socket table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// Netlink reports opened and closed connections by cookie, bytes and round-trip times.
    Netlink,
    /// `/proc/net/tcp` is slower and reports neither bytes, retransmits nor round-trip times.
    Procfs,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Netlink => "netlink",
            Self::Procfs => "/proc/net/tcp",
        })
    }
}

/// The socket table of this network namespace.
pub(crate) enum Table {
    Netlink(Netlink),
    Procfs,
}

impl Table {
    /// Returns the better table of those that show a connection of this process.
    pub(crate) fn prove() -> Result<Self, Error> {
        let netlink = match Netlink::open().map(Self::Netlink).and_then(Self::proved) {
            Ok(table) => return Ok(table),
            Err(error) => error,
        };
        match Self::Procfs.proved() {
            Ok(table) => {
                tracing::warn!(
                    netlink = %Chain(&netlink),
                    "connections are counted from /proc/net/tcp, which is slower"
                );
                Ok(table)
            }
            Err(procfs) => Err(Error::Unavailable { netlink, procfs }),
        }
    }

    /// Returns this table if it shows a connection that certainly exists.
    pub(crate) fn proved(mut self) -> Result<Self, ReadError> {
        let own = OwnConnection::open().map_err(ReadError::io("opening a connection to itself as a proof"))?;
        let mut seen = false;
        // An interrupted pass is good enough as long as it shows the connection.
        let _ = self.visit(&Query::from_remotes([&own.to]), &mut |socket| {
            seen |= socket.state == State::Established && socket.local == own.from && socket.remote == own.to;
        })?;
        if seen { Ok(self) } else { Err(ReadError::ProofMissing(own.to)) }
    }

    /// Visits the listening sockets and connections of `query`, and possibly others.
    pub(crate) fn visit(&mut self, query: &Query, visit: &mut dyn FnMut(&Socket)) -> Result<Pass, ReadError> {
        match self {
            Self::Netlink(netlink) => netlink.visit(query, visit).inspect_err(|_| {
                // The rest of a failed response must not be taken for the next one.
                if let Ok(fresh) = Netlink::open() {
                    *netlink = fresh;
                }
            }),
            Self::Procfs => procfs::visit(query, visit).map(|()| Pass::Consistent),
        }
    }

    pub(crate) fn method(&self) -> Method {
        match self {
            Self::Netlink(_) => Method::Netlink,
            Self::Procfs => Method::Procfs,
        }
    }
}

/// A connection of this process to itself.
struct OwnConnection {
    from: SocketAddr,
    to: SocketAddr,
    _sockets: (TcpListener, TcpStream),
}

impl OwnConnection {
    fn open() -> std::io::Result<Self> {
        let listener = TcpListener::bind(
            [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), (Ipv6Addr::LOCALHOST, 0).into()].as_slice(),
        )?;
        let stream = TcpStream::connect(listener.local_addr()?)?;
        Ok(Self { from: stream.local_addr()?, to: stream.peer_addr()?, _sockets: (listener, stream) })
    }
}
