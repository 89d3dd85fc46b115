//! The socket that the admin server listens on.

use std::{
    io::{self, ErrorKind},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
};

use rustix::net::sockopt;
use tokio::net::TcpSocket;

use crate::settings::ListenAddress;

/// Maximum number of connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 1024;

/// Listens at `address`. Has to be called within a Tokio runtime.
pub(super) fn listen(address: ListenAddress) -> io::Result<TcpListener> {
    match address {
        ListenAddress::All { port } => listen_everywhere(port, open),
        ListenAddress::One(address) => open(address),
    }
}

/// Listens at all addresses of both families with one socket, or at those of IPv4 where the kernel has no IPv6.
fn listen_everywhere(port: u16, open: impl Fn(SocketAddr) -> io::Result<TcpListener>) -> io::Result<TcpListener> {
    match open((Ipv6Addr::UNSPECIFIED, port).into()) {
        // The port is taken, perhaps in one of the families only. To serve the other one alone would look like success.
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(error),
        Err(_) => open((Ipv4Addr::UNSPECIFIED, port).into()),
        listener => listener,
    }
}

fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if address.is_ipv6() {
        // Whatever `net.ipv6.bindv6only` is set to: `[::]` is meant to be all addresses.
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    // A port may be taken again while connections of the process before linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, net::TcpStream};

    use rstest::rstest;

    use super::*;

    #[tokio::test]
    async fn by_default_both_families_are_served() {
        let listener = listen(ListenAddress::All { port: 0 }).unwrap();
        let port = listener.local_addr().unwrap().port();
        for address in [SocketAddr::from((Ipv4Addr::LOCALHOST, port)), (Ipv6Addr::LOCALHOST, port).into()] {
            TcpStream::connect(address).unwrap();
        }
    }

    #[rstest]
    #[case::no_family(rustix::io::Errno::AFNOSUPPORT, true)]
    #[case::no_address(rustix::io::Errno::ADDRNOTAVAIL, true)]
    #[case::forbidden(rustix::io::Errno::PERM, true)]
    #[case::in_use(rustix::io::Errno::ADDRINUSE, false)]
    #[tokio::test]
    async fn where_ipv6_is_missing_ipv4_is_served(#[case] error: rustix::io::Errno, #[case] listens: bool) {
        let tried = RefCell::new(Vec::new());
        let listener = listen_everywhere(0, |address| {
            tried.borrow_mut().push(address.to_string());
            if address.is_ipv6() { Err(error.into()) } else { open(address) }
        });
        assert_eq!(listener.is_ok(), listens, "{listener:?}");
        assert_eq!(tried.into_inner(), if listens { vec!["[::]:0", "0.0.0.0:0"] } else { vec!["[::]:0"] });
    }

    #[tokio::test]
    async fn a_port_that_is_taken_in_one_family_is_an_error() {
        let taken = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        assert_eq!(listen(ListenAddress::All { port }).unwrap_err().kind(), ErrorKind::AddrInUse);
    }
}
