//! Reads the socket table by netlink (`sock_diag`): with cookies and traffic, and without any privilege.

mod request;
mod response;

use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use crate::{
    error::ReadError,
    netlink::{
        request::{Request, connections, listeners},
        response::{Progress, read},
    },
    socket::{Family, Pass, Query, Socket},
};

/// A netlink socket for requests to `sock_diag`.
pub(crate) struct Netlink {
    socket: netlink_sys::Socket,
    buffer: Vec<u8>,
    sequence: u32,
}

/// Size of the receive buffer; the kernel fills at most 32 KiB per response, however large the buffer.
const BUFFER_BYTES: usize = 32 * 1024;

impl Netlink {
    pub(crate) fn open() -> Result<Self, ReadError> {
        let socket = netlink_sys::Socket::new(NETLINK_SOCK_DIAG);
        let mut socket = socket.map_err(ReadError::io("opening a netlink socket"))?;
        socket.bind_auto().map_err(ReadError::io("binding a netlink socket"))?;
        socket.connect(&netlink_sys::SocketAddr::new(0, 0)).map_err(ReadError::io("connecting a netlink socket"))?;
        Ok(Self { socket, buffer: Vec::with_capacity(BUFFER_BYTES), sequence: 0 })
    }

    /// Visits the listening sockets, then the connections.
    pub(crate) fn visit(&mut self, query: &Query, visit: &mut dyn FnMut(&Socket)) -> Result<Pass, ReadError> {
        let listeners = Family::ALL.into_iter().map(listeners);
        let connections = query.families.iter().map(|family| connections(*family, &query.ports));
        let mut pass = Pass::Consistent;
        for request in listeners.chain(connections) {
            pass = pass.and(self.dump(&request, visit)?);
        }
        Ok(pass)
    }

    fn dump(&mut self, request: &Request, visit: &mut dyn FnMut(&Socket)) -> Result<Pass, ReadError> {
        self.sequence = self.sequence.wrapping_add(1);
        self.socket.send(&request.bytes(self.sequence), 0).map_err(ReadError::io("requesting sockets by netlink"))?;
        let mut pass = Pass::Consistent;
        loop {
            self.buffer.clear();
            self.socket.recv(&mut self.buffer, 0).map_err(ReadError::io("receiving sockets by netlink"))?;
            match read(&self.buffer, self.sequence, &mut pass, visit)? {
                Progress::MoreToCome => {}
                Progress::Done => return Ok(pass),
            }
        }
    }
}
