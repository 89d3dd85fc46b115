//! Builds requests to `sock_diag` for a dump of sockets, or for single ones.

use std::collections::BTreeSet;

use netlink_packet_core::{Emitable, NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST};
use netlink_packet_sock_diag::{
    SOCK_DESTROY, SOCK_DIAG_BY_FAMILY,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP},
    inet::{ExtensionFlags, InetRequest, SocketId, StateFlags},
};

use crate::socket::{Family, Pair};

/// Length of a netlink message header, in bytes.
pub(super) const MESSAGE_HEADER_BYTES: usize = 16;

/// A request for sockets, or to destroy one.
pub(super) struct Request {
    kind: u16,
    inet: InetRequest,
    flags: u16,
    /// Program that the kernel applies to each socket before it describes it; empty for none.
    filter: Vec<u8>,
}

/// Requests the listening sockets.
pub(super) fn listeners(family: Family) -> Request {
    Request::new(inet(family, StateFlags::LISTEN, ExtensionFlags::empty()), NLM_F_DUMP)
}

/// Requests the connections to `ports`; those to other ports may be included.
///
/// Half of a proxy's sockets belong to its clients: leaving them out in the kernel makes a sample a third cheaper.
pub(super) fn connections(family: Family, ports: &BTreeSet<u16>) -> Request {
    Request {
        filter: port_filter(PortOf::Remote, ports),
        ..Request::new(inet(family, connected(), ExtensionFlags::INFO), NLM_F_DUMP)
    }
}

/// Requests the connections from `ports` of this side; those from other ports may be included.
pub(super) fn accepted(family: Family, ports: &BTreeSet<u16>) -> Request {
    Request {
        filter: port_filter(PortOf::Local, ports),
        ..Request::new(inet(family, connected(), ExtensionFlags::INFO), NLM_F_DUMP)
    }
}

/// Returns the states of a connection, from the first attempt to the last acknowledgement.
fn connected() -> StateFlags {
    let ended_here = StateFlags::FIN_WAIT1 | StateFlags::FIN_WAIT2 | StateFlags::CLOSING;
    let ended_by_remote = StateFlags::CLOSE_WAIT | StateFlags::LAST_ACK;
    StateFlags::ESTABLISHED | StateFlags::SYN_SENT | ended_here | ended_by_remote
}

/// Requests the connections that this side has ended, which the remote side has acknowledged, and the remote side has not.
pub(super) fn halves(family: Family) -> Request {
    Request::new(inet(family, StateFlags::FIN_WAIT2, ExtensionFlags::INFO), NLM_F_DUMP)
}

/// Requests the socket with these addresses, in whatever state it is. Unlike a dump, that costs next to nothing.
pub(super) fn exact(pair: &Pair) -> Request {
    Request::new(one_socket(pair, ANY_COOKIE), 0)
}

/// Requests the destruction of the socket with these addresses and this cookie, and the result of it.
pub(super) fn destroy(pair: &Pair, cookie: u64) -> Request {
    Request { kind: SOCK_DESTROY, ..Request::new(one_socket(pair, cookie), NLM_F_ACK) }
}

/// The cookie that matches every socket (`INET_DIAG_NOCOOKIE`, twice).
pub(crate) const ANY_COOKIE: u64 = u64::MAX;

fn one_socket(pair: &Pair, cookie: u64) -> InetRequest {
    let mut inet = inet(pair.remote.ip().into(), StateFlags::all(), ExtensionFlags::INFO);
    inet.socket_id = SocketId {
        source_address: pair.local.ip(),
        source_port: pair.local.port(),
        destination_address: pair.remote.ip(),
        destination_port: pair.remote.port(),
        interface_id: 0,
        cookie: cookie.to_ne_bytes(),
    };
    inet
}

fn inet(family: Family, states: StateFlags, extensions: ExtensionFlags) -> InetRequest {
    let (family, socket_id) = match family {
        Family::V4 => (AF_INET, SocketId::new_v4()),
        Family::V6 => (AF_INET6, SocketId::new_v6()),
    };
    InetRequest { family, protocol: IPPROTO_TCP, extensions, states, socket_id }
}

impl Request {
    fn new(inet: InetRequest, flags: u16) -> Self {
        Self { kind: SOCK_DIAG_BY_FAMILY, inet, flags, filter: Vec::new() }
    }

    /// Appends the netlink message to `bytes`. It is built here because the message type of the library has no field for
    /// the filter.
    pub(super) fn append_to(&self, bytes: &mut Vec<u8>, sequence: u32) {
        const INET_DIAG_REQ_BYTECODE: u16 = 1;
        const ATTRIBUTE_HEADER_BYTES: usize = 4;
        let attribute = if self.filter.is_empty() { 0 } else { ATTRIBUTE_HEADER_BYTES + self.filter.len() };
        let fixed = MESSAGE_HEADER_BYTES + self.inet.buffer_len();
        bytes.extend(u32::try_from(fixed + attribute).unwrap_or(u32::MAX).to_ne_bytes());
        bytes.extend(self.kind.to_ne_bytes());
        bytes.extend((NLM_F_REQUEST | self.flags).to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend([0; 4]); // the port id, which the kernel fills in
        let start = bytes.len();
        bytes.resize(start + self.inet.buffer_len(), 0);
        self.inet.emit(&mut bytes[start..]);
        if attribute > 0 {
            bytes.extend(u16::try_from(attribute).unwrap_or(u16::MAX).to_ne_bytes());
            bytes.extend(INET_DIAG_REQ_BYTECODE.to_ne_bytes());
            bytes.extend(&self.filter);
        }
    }
}

/// Maximum number of ports in a filter. Each is a comparison per socket, so more are not worth it.
pub(super) const MAX_FILTER_PORTS: usize = 16;

/// The port of a socket that a filter compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PortOf {
    Local,
    Remote,
}

/// Returns a program that accepts sockets whose port of that side is one of `ports`. It is empty, and so accepts any socket,
/// for no ports and for more than [`MAX_FILTER_PORTS`].
///
/// The format is `inet_diag_bc_op` of `linux/inet_diag.h`, with one comparison per port. An operation is followed by
/// its operand; `yes` and `no` are the distances to the next operation, in bytes. A jump to the exact end of the
/// program accepts the socket, and a jump beyond it rejects the socket.
fn port_filter(side: PortOf, ports: &BTreeSet<u16>) -> Vec<u8> {
    /// Compares the local port with the operand; since Linux 4.16, as the next one.
    const INET_DIAG_BC_S_EQ: u8 = 11;
    /// Compares the remote port with the operand.
    const INET_DIAG_BC_D_EQ: u8 = 12;
    const INET_DIAG_BC_JMP: u8 = 1;
    const COMPARISON_BYTES: usize = 8;
    const JUMP_BYTES: usize = 4;
    if ports.len() > MAX_FILTER_PORTS {
        return Vec::new();
    }
    let compare = match side {
        PortOf::Local => INET_DIAG_BC_S_EQ,
        PortOf::Remote => INET_DIAG_BC_D_EQ,
    };
    let mut program = Vec::new();
    for (i, port) in ports.iter().enumerate() {
        let last = i + 1 == ports.len();
        // If equal, the next operation is the one after the comparison: a jump to the end, or the end itself.
        let no = if last { COMPARISON_BYTES + 4 } else { COMPARISON_BYTES + JUMP_BYTES };
        program.extend([compare, 8]);
        program.extend(u16::try_from(no).unwrap_or(u16::MAX).to_ne_bytes());
        program.extend([0, 0]);
        program.extend(port.to_ne_bytes());
        if !last {
            let to_the_end = JUMP_BYTES + (ports.len() - i - 1) * COMPARISON_BYTES + (ports.len() - i - 2) * JUMP_BYTES;
            program.extend([INET_DIAG_BC_JMP, 4]);
            program.extend(u16::try_from(to_the_end).unwrap_or(u16::MAX).to_ne_bytes());
        }
    }
    program
}
