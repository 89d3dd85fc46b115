//! Receives the announcements of destroyed sockets, without any privilege.

use std::{
    collections::BTreeSet,
    io,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use rustix::io::Errno;
use socket2::{SockFilter, SockRef};

use crate::{
    error::ReadError,
    netlink::{
        request::MAX_FILTER_PORTS,
        response::{Announcement, read_announcements},
    },
    sample::EndedBy,
    socket::{Destroyed, Ended, Pair, Socket, State},
};

/// A netlink socket to which the kernel announces each TCP socket of this network namespace that it destroys.
pub(crate) struct Announcements {
    socket: netlink_sys::Socket,
    buffer: Vec<u8>,
}

/// Sockets that were announced.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// All that there were.
    All,
    /// The number that was asked for, and maybe not all.
    Some,
}

/// State that the kernel keeps of a connection after its socket was destroyed.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::large_enum_variant, reason = "there are at most some hundred, for a moment")]
pub(crate) enum Kept {
    /// The kernel was not asked, or its answer says nothing.
    Unknown,
    Nothing,
    /// A socket with the same addresses: in TIME-WAIT if this side ended the connection first, else another connection.
    Socket(Socket),
}

/// Groups of announcements, as bits, of `linux/sock_diag.h`.
const SKNLGRP_INET_TCP_DESTROY: u32 = 1 << 0;
const SKNLGRP_INET6_TCP_DESTROY: u32 = 1 << 2;

/// Size of the buffer for one announcement, which is 380 bytes long on Linux 6.18.
const MESSAGE_BUFFER_BYTES: usize = 4 * 1024;

impl Announcements {
    /// Size of the kernel's buffer for announcements. Each takes about 1.25 KiB in it. Most kernels allow no more than
    /// 208 KiB without privilege (sysctl `net.core.rmem_max`), and double that: it is still 30 ms of 10 000 closed
    /// connections a second.
    pub(crate) const BUFFER_BYTES: usize = 4 * 1024 * 1024;

    /// Begins to receive announcements, with a buffer of this size, or the greatest that the kernel allows.
    pub(crate) fn open(buffer_bytes: usize) -> Result<Self, ReadError> {
        let socket = netlink_sys::Socket::new(NETLINK_SOCK_DIAG);
        let mut socket = socket.map_err(ReadError::io("opening a netlink socket"))?;
        let size = SockRef::from(&socket).set_recv_buffer_size(buffer_bytes);
        size.map_err(ReadError::io("enlarging the buffer of a netlink socket"))?;
        let groups = SKNLGRP_INET_TCP_DESTROY | SKNLGRP_INET6_TCP_DESTROY;
        let joined = socket.bind(&netlink_sys::SocketAddr::new(0, groups));
        joined.map_err(ReadError::io("joining the announcements of destroyed sockets"))?;
        socket.set_non_blocking(true).map_err(ReadError::io("setting up a netlink socket"))?;
        Ok(Self { socket, buffer: Vec::with_capacity(MESSAGE_BUFFER_BYTES) })
    }

    /// Returns another descriptor of the socket, to wait for announcements.
    pub(crate) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.socket.as_fd().try_clone_to_owned()
    }

    /// Drops in the kernel what is announced of sockets whose remote port is neither one of `ports` nor unknown: half of
    /// a proxy's sockets belong to its clients.
    pub(crate) fn set_ports(&self, ports: &BTreeSet<u16>) -> io::Result<()> {
        SockRef::from(&self.socket).attach_filter(&port_filter(ports, &BTreeSet::new()))
    }

    /// Drops in the kernel what is announced of sockets with neither one of these remote ports, nor one of these local ports,
    /// nor an unknown remote port.
    pub(crate) fn set_ports_of_both_sides(&self, remote: &BTreeSet<u16>, local: &BTreeSet<u16>) -> io::Result<()> {
        SockRef::from(&self.socket).attach_filter(&port_filter(remote, local))
    }

    /// Receives up to `max` announcements without waiting.
    ///
    /// # Errors
    ///
    /// [`ReadError::Overrun`] if the kernel had to drop some, because its buffer was full. The next call returns those
    /// that it kept.
    pub(crate) fn receive(&mut self, max: usize, visit: &mut dyn FnMut(Announcement)) -> Result<Received, ReadError> {
        for _ in 0..max {
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer, 0) {
                Ok(_) => read_announcements(&self.buffer, Instant::now(), visit)?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Received::All),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if Errno::from_io_error(&error) == Some(Errno::NOBUFS) => return Err(ReadError::Overrun),
                Err(error) => return Err(ReadError::io("receiving announcements of destroyed sockets")(error)),
            }
        }
        Ok(Received::Some)
    }
}

impl Announcement {
    /// Returns the addresses to look up, if the side that ended the connection can be known from what the kernel keeps of
    /// it.
    pub(crate) fn pair_to_look_up(&self) -> Option<Pair> {
        (self.was_established() && self.pair.remote.port() != 0).then_some(self.pair)
    }

    /// Returns the destroyed socket.
    pub(crate) fn destroyed(&self, kept: Kept) -> Destroyed {
        let by = self.ended_by(kept);
        // The kernel resets what it knows of the time together with the port.
        let is_aged = by != EndedBy::NeverAnswered && self.pair.remote.port() != 0;
        Destroyed {
            identity: self.identity,
            family: self.family,
            local: self.pair.local,
            remote: self.pair.remote,
            at: self.at,
            age: if is_aged { self.info.min_age() } else { Duration::ZERO },
            received: self.info.received_until_end(by),
            bytes: self.info.bytes_until_end(by),
            by,
        }
    }

    /// Returns the socket as one side of a connection that has ended; `None` if it was never established.
    pub(crate) fn ended(&self) -> Option<Ended> {
        let (sent_ago, received_ago) = self.info.data_ago();
        self.was_established().then(|| Ended {
            identity: self.identity,
            pair: self.pair,
            at: self.at,
            min_age: if self.pair.remote.port() == 0 { Duration::ZERO } else { self.info.min_age() },
            received: self.info.received_with_end(),
            delivered: self.info.delivered(),
            sent_ago,
            received_ago,
        })
    }

    fn ended_by(&self, kept: Kept) -> EndedBy {
        if !self.was_established() {
            return EndedBy::NeverAnswered;
        }
        if self.pair.remote.port() == 0 {
            return EndedBy::Proxy; // with a reset
        }
        match kept {
            Kept::Socket(Socket { state: State::EndedHere, inode: 0, .. }) => EndedBy::Proxy,
            // Data that nobody read is what this side resets a connection for. More than a FIN may also be data that came
            // before the end of the remote side.
            Kept::Nothing if self.unread <= 1 => EndedBy::Backend,
            _ => EndedBy::Unknown,
        }
    }

    fn was_established(&self) -> bool {
        self.info.was_established(self.pair.remote.port() == 0)
    }
}

/// Returns a program that accepts announcements of sockets whose remote port is zero or one of `remote`, or whose local port
/// is one of `local`, or any for more than [`MAX_FILTER_PORTS`] of a kind.
fn port_filter(remote: &BTreeSet<u16>, local: &BTreeSet<u16>) -> Vec<SockFilter> {
    /// Offset of `idiag_sport` behind the header of the message.
    const LOCAL_PORT_OFFSET: u32 = 16 + 4;
    /// Offset of `idiag_dport` behind the header of the message.
    const REMOTE_PORT_OFFSET: u32 = 16 + 6;
    const LOAD_HALF_WORD: u16 = 0x28; // BPF_LD | BPF_H | BPF_ABS
    const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    let accept = SockFilter::new(RETURN, 0, 0, u32::MAX);
    if remote.len().max(local.len()) > MAX_FILTER_PORTS {
        return vec![accept];
    }
    let remote: Vec<u32> = [0].into_iter().chain(remote.iter().map(|port| u32::from(*port))).collect();
    let local: Vec<u32> = local.iter().map(|port| u32::from(*port)).collect();
    let kinds = [(REMOTE_PORT_OFFSET, remote), (LOCAL_PORT_OFFSET, local)];
    let mut left: usize = kinds.iter().filter(|(_, ports)| !ports.is_empty()).map(|(_, ports)| 1 + ports.len()).sum();
    let mut program = Vec::with_capacity(left + 2);
    for (offset, ports) in kinds.iter().filter(|(_, ports)| !ports.is_empty()) {
        program.push(SockFilter::new(LOAD_HALF_WORD, 0, 0, *offset));
        left -= 1;
        for port in ports {
            left -= 1;
            // Jumps over the operations that follow, and over the rejection.
            program.push(SockFilter::new(JUMP_IF_EQUAL, u8::try_from(left + 1).unwrap_or(0), 0, *port));
        }
    }
    program.push(SockFilter::new(RETURN, 0, 0, 0));
    program.push(accept);
    program
}
