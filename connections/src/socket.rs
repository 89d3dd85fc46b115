//! The sockets of the kernel's table, as both ways of reading it return them.

use std::{
    collections::BTreeSet,
    net::{SocketAddr, SocketAddrV4},
    time::Duration,
};

/// A TCP socket of the kernel's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    /// Distinguishes this socket from all others while it lives: its cookie if known, else derived from its inode.
    pub(crate) identity: u64,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) state: State,
    pub(crate) inode: u32,
    /// Id of the user that owns the socket.
    pub(crate) user: u32,
    pub(crate) traffic: Traffic,
}

/// A TCP state that matters for counting; sockets in other states are skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Established,
    /// CLOSE-WAIT: the remote side has ended its half.
    EndedByRemote,
    /// FIN-WAIT-1 or FIN-WAIT-2: this side has ended its half.
    EndedHere,
    /// SYN-SENT: the remote side has not answered yet.
    Opening,
    Listening,
}

/// Traffic of a socket; zero and `None` where the kernel does not report it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Bytes of data received and acknowledged.
    pub(crate) bytes: u64,
    /// Bytes of data received, which are part of `bytes`.
    pub(crate) received: u64,
    /// Segments sent again.
    pub(crate) retransmits: u32,
    /// Smoothed round-trip time.
    pub(crate) rtt: Option<Duration>,
}

/// Selects the part of the table to read.
///
/// It only saves work: a reader may return sockets outside of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    /// Families of connections. Listening sockets are selected whatever their family: one of the IPv6 family may
    /// listen for IPv4 as well.
    pub(crate) families: BTreeSet<Family>,
    /// Remote ports of connections, in ascending order. Listening sockets are selected whatever their port.
    pub(crate) ports: Vec<u16>,
}

impl State {
    /// Returns `true` if one side has ended its half of the connection.
    pub(crate) fn is_half_closed(self) -> bool {
        matches!(self, Self::EndedByRemote | Self::EndedHere)
    }
}

impl Socket {
    /// Returns `true` if the process that opened the connection has closed it, and the kernel only ends it properly.
    pub(crate) fn is_orphan(&self) -> bool {
        self.state.is_half_closed() && self.inode == 0
    }
}

impl Query {
    /// Selects the ports and address families of `remotes`.
    pub(crate) fn from_remotes<'a>(remotes: impl IntoIterator<Item = &'a SocketAddr>) -> Self {
        let (mut families, mut ports) = (BTreeSet::new(), BTreeSet::new());
        for remote in remotes {
            families.insert(if remote.is_ipv4() { Family::V4 } else { Family::V6 });
            ports.insert(remote.port());
        }
        Self { families, ports: ports.into_iter().collect() }
    }
}

/// The address family of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Family {
    V4,
    V6,
}

/// The consistency of one pass over the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub(crate) enum Pass {
    Consistent,
    /// The table changed meanwhile: sockets may be missing or listed twice.
    Interrupted,
}

impl Family {
    pub(crate) const ALL: [Self; 2] = [Self::V4, Self::V6];
}

impl Pass {
    /// Returns `Consistent` only if both passes are.
    pub(crate) fn and(self, other: Self) -> Self {
        if self == Self::Consistent { other } else { self }
    }
}

/// Returns the IPv4 form of the address of an IPv6 socket that talks to an IPv4 host, and any other address without
/// its zone.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(ip) => SocketAddrV4::new(ip, v6.port()).into(),
            // The kernel does not report the zone, so link-local addresses are compared without it.
            None => SocketAddr::new((*v6.ip()).into(), v6.port()),
        },
        SocketAddr::V4(_) => address,
    }
}
