//! Reads the socket table by netlink (`sock_diag`): with cookies and traffic, and without any privilege.

mod announcements;
mod fields;
mod request;
pub(crate) mod response;
mod tcp_info;

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use rustix::io::Errno;
use socket2::SockRef;

pub(crate) use crate::netlink::{
    announcements::{Announcements, Kept, Received},
    request::ANY_COOKIE,
    response::Announcement,
};
use crate::{
    error::ReadError,
    netlink::{
        request::{Request, accepted, connections, destroy, exact, halves, listeners},
        response::{Progress, read_acknowledgement, read_dump, read_exact},
    },
    socket::{Family, Pair, Query, Socket, State},
};

/// A netlink socket for requests to `sock_diag`.
pub(crate) struct Netlink {
    socket: netlink_sys::Socket,
    buffer: Vec<u8>,
    request: Vec<u8>,
    sequence: u32,
}

/// Size of the receive buffer; the kernel fills at most 32 KiB per response, however large the buffer.
const BUFFER_BYTES: usize = 32 * 1024;

/// Number of sockets requested at a time. The answers of all have to fit into the receive buffer that the kernel gives
/// a socket by default, in which each takes about 1 KiB.
const MAX_EXACT_REQUESTS: usize = 64;

impl Netlink {
    pub(crate) fn open() -> Result<Self, ReadError> {
        let socket = netlink_sys::Socket::new(NETLINK_SOCK_DIAG);
        let mut socket = socket.map_err(ReadError::io("opening a netlink socket"))?;
        socket.bind_auto().map_err(ReadError::io("binding a netlink socket"))?;
        socket.connect(&netlink_sys::SocketAddr::new(0, 0)).map_err(ReadError::io("connecting a netlink socket"))?;
        // Errors come without the request that they answer.
        socket.set_cap_ack(true).map_err(ReadError::io("setting up a netlink socket"))?;
        // The kernel answers at once. Whatever keeps it from that must not keep the caller for good.
        let timeout = SockRef::from(&socket).set_read_timeout(Some(Duration::from_secs(5)));
        timeout.map_err(ReadError::io("setting up a netlink socket"))?;
        Ok(Self { socket, buffer: Vec::with_capacity(BUFFER_BYTES), request: Vec::new(), sequence: 0 })
    }

    /// Visits the listening sockets, then the connections.
    ///
    /// A socket may be missing if others are closed meanwhile: the kernel continues after each response by counting the
    /// sockets of a bucket.
    pub(crate) fn visit(&mut self, query: &Query, visit: &mut dyn FnMut(&Socket)) -> Result<(), ReadError> {
        self.visit_listeners(visit)?;
        for family in &query.families {
            self.dump(&connections(*family, &query.ports), visit)?;
        }
        Ok(())
    }

    /// Visits the listening sockets.
    pub(crate) fn visit_listeners(&mut self, visit: &mut dyn FnMut(&Socket)) -> Result<(), ReadError> {
        for family in Family::ALL {
            self.dump(&listeners(family), visit)?;
        }
        Ok(())
    }

    /// Visits the connections to `ports` that this side has ended and the remote side has not (FIN-WAIT-2); those to others
    /// may be included. There are few of them, but the kernel looks at all sockets of the node, once for each family that
    /// somebody listens in: what a listener accepts is of its own family.
    pub(crate) fn visit_halves(
        &mut self,
        ports: &BTreeSet<u16>,
        visit: &mut dyn FnMut(&Socket),
    ) -> Result<(), ReadError> {
        for family in Family::ALL {
            let mut is_listening = false;
            self.dump(&listeners(family), &mut |socket| is_listening |= ports.contains(&socket.local.port()))?;
            if is_listening {
                self.dump(&halves(family), visit)?;
            }
        }
        Ok(())
    }

    /// Visits the connections that were accepted at these ports, in this family; those at other ports may be included.
    pub(crate) fn visit_accepted(
        &mut self,
        family: Family,
        ports: &BTreeSet<u16>,
        visit: &mut dyn FnMut(&Socket),
    ) -> Result<(), ReadError> {
        self.dump(&accepted(family, ports), visit)
    }

    /// Visits the connections to these remote ports, in this family; those to others may be included.
    pub(crate) fn visit_connections(
        &mut self,
        family: Family,
        ports: &BTreeSet<u16>,
        visit: &mut dyn FnMut(&Socket),
    ) -> Result<(), ReadError> {
        self.dump(&connections(family, ports), visit)
    }

    /// Destroys the socket with these addresses and this cookie, whatever it is: the kernel ends the connection on both
    /// sides. Needs the capability `CAP_NET_ADMIN`.
    ///
    /// The inner error is that of the kernel: [`Errno::NOENT`] if there is no such socket.
    pub(crate) fn destroy(&mut self, pair: &Pair, cookie: u64) -> Result<Result<(), Errno>, ReadError> {
        self.sequence = self.sequence.wrapping_add(1);
        self.request.clear();
        destroy(pair, cookie).append_to(&mut self.request, self.sequence);
        self.send()?;
        loop {
            self.receive()?;
            if let Some(result) = read_acknowledgement(&self.buffer, self.sequence)? {
                return Ok(result);
            }
        }
    }

    /// Looks up the sockets with these addresses, in whatever state they are, and appends one result for each to
    /// `found`. Costs 1 to 2 µs each, however many sockets there are.
    pub(crate) fn look_up(&mut self, pairs: &[Pair], found: &mut Vec<Option<Socket>>) -> Result<(), ReadError> {
        let start = found.len();
        self.look_up_any(pairs, found)?;
        // If there is no connection with these addresses, the kernel answers with a listener of the local port.
        for (found, pair) in found[start..].iter_mut().zip(pairs) {
            *found = found.filter(|socket| (socket.local, socket.remote) == (pair.local, pair.remote));
        }
        Ok(())
    }

    /// Looks up which listener accepts connections to each of these addresses. Costs 1 to 2 µs each, where
    /// [a list](Self::visit_listeners) takes some 70 µs for each family. A listener that is bound to a network device is not
    /// found.
    pub(crate) fn look_up_listeners(&mut self, addresses: &[SocketAddr]) -> Result<Vec<Option<Socket>>, ReadError> {
        let nowhere = |local: &SocketAddr| -> IpAddr {
            match local.ip() {
                // The kernel only looks among IPv4 listeners if both addresses are IPv4-mapped.
                IpAddr::V6(ip) if ip.to_ipv4_mapped().is_none() => Ipv6Addr::UNSPECIFIED.into(),
                IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED.to_ipv6_mapped().into(),
                IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            }
        };
        let pair = |local: &SocketAddr| Pair { local: *local, remote: SocketAddr::new(nowhere(local), 0) };
        let mut found = Vec::with_capacity(addresses.len());
        self.look_up_any(&addresses.iter().map(pair).collect::<Vec<_>>(), &mut found)?;
        Ok(found.into_iter().map(|found| found.filter(|socket| socket.state == State::Listening)).collect())
    }

    /// Looks up what the kernel would give a packet between these addresses to.
    fn look_up_any(&mut self, pairs: &[Pair], found: &mut Vec<Option<Socket>>) -> Result<(), ReadError> {
        for pairs in pairs.chunks(MAX_EXACT_REQUESTS) {
            let first_sequence = self.sequence.wrapping_add(1);
            self.request.clear();
            for pair in pairs {
                self.sequence = self.sequence.wrapping_add(1);
                exact(pair).append_to(&mut self.request, self.sequence);
            }
            self.send()?;
            let start = found.len();
            found.resize(start + pairs.len(), None);
            let mut answers = 0;
            while answers < pairs.len() {
                self.receive()?;
                answers += read_exact(&self.buffer, first_sequence, &mut found[start..])?;
            }
        }
        Ok(())
    }

    fn dump(&mut self, request: &Request, visit: &mut dyn FnMut(&Socket)) -> Result<(), ReadError> {
        self.sequence = self.sequence.wrapping_add(1);
        self.request.clear();
        request.append_to(&mut self.request, self.sequence);
        self.send()?;
        loop {
            self.receive()?;
            match read_dump(&self.buffer, self.sequence, visit)? {
                Progress::MoreToCome => {}
                Progress::Done => return Ok(()),
            }
        }
    }

    fn send(&self) -> Result<(), ReadError> {
        self.socket.send(&self.request, 0).map_err(ReadError::io("requesting sockets by netlink"))?;
        Ok(())
    }

    fn receive(&mut self) -> Result<(), ReadError> {
        self.buffer.clear();
        self.socket.recv(&mut self.buffer, 0).map_err(ReadError::io("receiving sockets by netlink"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::its_address("127.0.0.1", "127.0.0.1", true)]
    #[case::any_address("0.0.0.0", "127.0.0.1", true)]
    #[case::any_address_of_either_family("::", "127.0.0.1", true)]
    #[case::ipv4_mapped("::", "::ffff:127.0.0.1", true)]
    #[case::ipv6("::1", "::1", true)]
    #[case::any_ipv6_address("::", "::1", true)]
    #[case::another_address("127.0.0.2", "127.0.0.1", false)]
    #[case::another_family("127.0.0.1", "::1", false)]
    fn a_listener_is_found_by_the_address_that_it_accepts_connections_to(
        #[case] listens_at: &str,
        #[case] address: &str,
        #[case] is_found: bool,
    ) {
        let listener = TcpListener::bind((listens_at.parse::<IpAddr>().unwrap(), 0)).unwrap();
        let address = SocketAddr::new(address.parse().unwrap(), listener.local_addr().unwrap().port());
        let unused = SocketAddr::new(address.ip(), 1);
        let found = Netlink::open().unwrap().look_up_listeners(&[unused, address]).unwrap();
        let ports: Vec<_> = found.iter().map(|found| found.map(|socket| socket.local.port())).collect();
        assert_eq!(ports, [None, is_found.then_some(address.port())]);
    }
}
