//! The kernel's table by netlink (`sock_diag`): exact, with cookies and traffic, and without any privilege.

mod request;
mod response;

use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use crate::{
    error::ReadError,
    netlink::{
        request::{Family, connections, listeners},
        response::{End, read},
    },
    socket::{Socket, Wanted},
};

pub(crate) struct Netlink {
    socket: netlink_sys::Socket,
    buffer: Vec<u8>,
    sequence: u32,
}

/// The kernel fills answers of at most 32 KiB, however large the buffer.
const BUFFER: usize = 32 * 1024;

impl Netlink {
    pub(crate) fn open() -> Result<Self, ReadError> {
        let mut socket =
            netlink_sys::Socket::new(NETLINK_SOCK_DIAG).map_err(ReadError::io("opening a netlink socket"))?;
        socket.bind_auto().map_err(ReadError::io("binding a netlink socket"))?;
        socket.connect(&netlink_sys::SocketAddr::new(0, 0)).map_err(ReadError::io("connecting a netlink socket"))?;
        Ok(Self { socket, buffer: Vec::with_capacity(BUFFER), sequence: 0 })
    }

    /// Visits the listening sockets, then the connections. Answers whether the table was read without interruption.
    pub(crate) fn visit(&mut self, wanted: &Wanted, visit: &mut dyn FnMut(&Socket)) -> Result<bool, ReadError> {
        let families = [(wanted.ipv4, Family::V4), (wanted.ipv6, Family::V6)];
        let mut whole = true;
        for (_, family) in families.iter().filter(|(wanted, _)| *wanted) {
            whole &= self.dump(&listeners(*family), visit)?;
        }
        for (_, family) in families.iter().filter(|(wanted, _)| *wanted) {
            whole &= self.dump(&connections(*family, &wanted.ports), visit)?;
        }
        Ok(whole)
    }

    fn dump(&mut self, request: &request::Request, visit: &mut dyn FnMut(&Socket)) -> Result<bool, ReadError> {
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send(&request.bytes(self.sequence), 0).map_err(ReadError::io("requesting sockets by netlink"))?;
        let mut whole = true;
        loop {
            self.buffer.clear();
            self.socket.recv(&mut self.buffer, 0).map_err(ReadError::io("receiving sockets by netlink"))?;
            match read(&self.buffer, self.sequence, &mut whole, visit)? {
                End::MoreToCome => {}
                End::Done => return Ok(whole),
            }
        }
    }
}
