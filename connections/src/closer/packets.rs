//! A Unix socket that keeps the borders of packets (`SOCK_SEQPACKET`).

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen,
    recv, send, socket_with,
};
use tokio::io::{Interest, unix::AsyncFd};

use crate::descriptor::watched;

/// Maximum size of a packet, in bytes.
pub(crate) const MAX_PACKET_BYTES: usize = 4096;

/// One end of a connection.
pub(crate) struct Packets(AsyncFd<OwnedFd>);

/// A listening socket.
pub(crate) struct PacketListener(AsyncFd<OwnedFd>);

impl PacketListener {
    /// Listens at this path, where no file may be.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        const BACKLOG: i32 = 16;
        let socket = open()?;
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        listen(&socket, BACKLOG)?;
        Ok(Self(watched(socket)?))
    }

    /// Waits for the next connection.
    pub(crate) async fn accept(&self) -> io::Result<Packets> {
        let accept = |socket: &OwnedFd| Ok(accept_with(socket, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?);
        Ok(Packets(watched(self.0.async_io(Interest::READABLE, accept).await?)?))
    }
}

impl Packets {
    /// Connects to a listener at this path, without waiting: if it accepts nothing, that is an error.
    pub(crate) fn connect(path: &Path) -> io::Result<Self> {
        let socket = open()?;
        connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(Self(watched(socket)?))
    }

    /// Returns the id of the user of the process at the other end, as it was when it connected or began to listen.
    ///
    /// Not by rustix: it cannot represent the process id 0, which the kernel reports for a process that this one cannot see,
    /// and each container of a pod sees only its own. For this question the type of the socket does not matter.
    pub(crate) fn peer_user(&self) -> io::Result<u32> {
        let socket = std::os::unix::net::UnixStream::from(self.0.as_fd().try_clone_to_owned()?);
        Ok(tokio::net::UnixStream::from_std(socket)?.peer_cred()?.uid())
    }

    /// Sends a packet.
    pub(crate) async fn send(&self, packet: &[u8]) -> io::Result<()> {
        let send = |socket: &OwnedFd| Ok(send(socket, packet, SendFlags::NOSIGNAL)?);
        self.0.async_io(Interest::WRITABLE, send).await.map(drop)
    }

    /// Receives a packet; `None` at the end of the connection.
    ///
    /// # Errors
    ///
    /// [`InvalidData`](io::ErrorKind::InvalidData) for a packet that is larger than [`MAX_PACKET_BYTES`].
    pub(crate) async fn receive(&self) -> io::Result<Option<Vec<u8>>> {
        let mut packet = vec![0; MAX_PACKET_BYTES];
        let receive = |socket: &OwnedFd| Ok(recv(socket, packet.as_mut_slice(), RecvFlags::TRUNC)?);
        let (_, length) = self.0.async_io(Interest::READABLE, receive).await?;
        match length {
            0 => Ok(None),
            1..=MAX_PACKET_BYTES => {
                packet.truncate(length);
                Ok(Some(packet))
            }
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "a packet is larger than 4 KiB")),
        }
    }
}

fn open() -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?)
}
