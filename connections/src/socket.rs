use std::{
    net::{SocketAddr, SocketAddrV4},
    time::Duration,
};

/// One socket of the kernel's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    /// Tells this socket from all others, as long as it lives: its cookie where there is one, else made of its inode.
    pub(crate) identity: u64,
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) state: State,
    pub(crate) inode: u32,
    /// The user that owns it.
    pub(crate) user: u32,
    pub(crate) traffic: Traffic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Established,
    /// SYN-SENT: the other side has not answered yet.
    Opening,
    Listening,
}

/// What the kernel tells about the traffic of a socket, where it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    pub(crate) bytes: u64,
    pub(crate) retransmits: u32,
    pub(crate) rtt: Option<Duration>,
}

/// Which part of the table is of interest. The rest may be left out of an answer, and need not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) ipv4: bool,
    pub(crate) ipv6: bool,
    /// Remote ports of connections; none means any.
    pub(crate) ports: Vec<u16>,
}

/// The IPv4 form of an address that an IPv6 socket has while it talks to an IPv4 host.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(ip) => SocketAddrV4::new(ip, v6.port()).into(),
            // The kernel does not tell the zone, so a link-local address is compared without it.
            None => SocketAddr::new((*v6.ip()).into(), v6.port()),
        },
        SocketAddr::V4(_) => address,
    }
}
