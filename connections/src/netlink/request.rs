use netlink_packet_core::{Emitable, NLM_F_DUMP, NLM_F_REQUEST};
use netlink_packet_sock_diag::{
    SOCK_DIAG_BY_FAMILY,
    constants::{AF_INET, AF_INET6, IPPROTO_TCP},
    inet::{ExtensionFlags, InetRequest, SocketId, StateFlags},
};

/// Length of a netlink message header, in bytes.
pub(super) const HEADER: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// One dump of sockets.
pub(super) struct Request {
    inet: InetRequest,
    /// The filter that the kernel applies to each socket before it describes it; empty for none.
    filter: Vec<u8>,
}

pub(super) fn listeners(family: Family) -> Request {
    Request { inet: inet(family, StateFlags::LISTEN, ExtensionFlags::empty()), filter: Vec::new() }
}

/// Connections to `ports`, or to any port if there is none.
///
/// Half of a proxy's sockets belong to its clients: to have the kernel leave them out makes a sample a third cheaper.
pub(super) fn connections(family: Family, ports: &[u16]) -> Request {
    let states = StateFlags::ESTABLISHED | StateFlags::SYN_SENT;
    Request { inet: inet(family, states, ExtensionFlags::INFO), filter: remote_port_is_one_of(ports) }
}

fn inet(family: Family, states: StateFlags, extensions: ExtensionFlags) -> InetRequest {
    let (family, socket_id) = match family {
        Family::V4 => (AF_INET, SocketId::new_v4()),
        Family::V6 => (AF_INET6, SocketId::new_v6()),
    };
    InetRequest { family, protocol: IPPROTO_TCP, extensions, states, socket_id }
}

impl Request {
    /// The message. It is put together here because the message type of the library has no place for the filter.
    pub(super) fn bytes(&self, sequence: u32) -> Vec<u8> {
        const INET_DIAG_REQ_BYTECODE: u16 = 1;
        let attribute = if self.filter.is_empty() { 0 } else { 4 + self.filter.len() };
        let fixed = HEADER + self.inet.buffer_len();
        let mut bytes = vec![0; fixed];
        bytes[0..4].copy_from_slice(&size(fixed + attribute).to_ne_bytes());
        bytes[4..6].copy_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
        bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.inet.emit(&mut bytes[HEADER..]);
        if attribute > 0 {
            bytes.extend(u16::try_from(attribute).unwrap_or(u16::MAX).to_ne_bytes());
            bytes.extend(INET_DIAG_REQ_BYTECODE.to_ne_bytes());
            bytes.extend(&self.filter);
        }
        bytes
    }
}

/// More ports than this are not worth a filter: each is a comparison per socket.
const MOST_PORTS: usize = 16;

/// A program for the kernel's filter of sockets (`inet_diag_bc_op` in `linux/inet_diag.h`): per port one operation that
/// compares. Each operation is followed by its operand; `yes` and `no` are how far to go on, in bytes, and a jump to
/// the exact end accepts, a jump beyond it rejects.
fn remote_port_is_one_of(ports: &[u16]) -> Vec<u8> {
    /// Compares the remote port with the operand; since Linux 4.16.
    const INET_DIAG_BC_D_EQ: u8 = 12;
    const INET_DIAG_BC_JMP: u8 = 1;
    const COMPARISON: usize = 8;
    const JUMP: usize = 4;
    if ports.len() > MOST_PORTS {
        return Vec::new();
    }
    let mut program = Vec::new();
    for (i, port) in ports.iter().enumerate() {
        let last = i + 1 == ports.len();
        // Equal: go on with what follows the comparison, which is a jump to the end or the end itself.
        let no = if last { COMPARISON + 4 } else { COMPARISON + JUMP };
        program.extend([INET_DIAG_BC_D_EQ, 8]);
        program.extend(u16::try_from(no).unwrap_or(u16::MAX).to_ne_bytes());
        program.extend([0, 0]);
        program.extend(port.to_ne_bytes());
        if !last {
            let to_the_end = JUMP + (ports.len() - i - 1) * COMPARISON + (ports.len() - i - 2) * JUMP;
            program.extend([INET_DIAG_BC_JMP, 4]);
            program.extend(u16::try_from(to_the_end).unwrap_or(u16::MAX).to_ne_bytes());
        }
    }
    program
}

fn size(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
