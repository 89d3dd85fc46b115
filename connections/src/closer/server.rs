//! The server of a closer, on a Unix socket.

use std::{
    fmt, fs,
    io::{self, ErrorKind},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
};

use crate::closer::{
    Closer, Outcome, Refusal,
    packets::{PacketListener, Packets},
    wire::{Done, Reply, Request, VERSION, WireError},
};

/// Serves a [`Closer`] on a Unix socket, to a [`Remote`](crate::Remote) in another process.
///
/// Only processes of one user may order closings, and only one connection at a time, from its first order to its end.
/// They and those of the server's own user may ask what the closer can do. There is nothing else to ask.
pub struct CloserServer {
    listener: PacketListener,
    client_user: u32,
}

/// Number of connections that are served at a time; further ones wait.
const MAX_CONNECTIONS: usize = 8;

impl CloserServer {
    /// Listens at `path`, where a socket that is left from before is replaced. Every user may connect to it; `client_user`
    /// is the id of the one whose orders are followed. To be called in a Tokio runtime with I/O.
    pub fn bind(path: &Path, client_user: u32) -> io::Result<Self> {
        if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            fs::remove_file(path)?;
        }
        let listener = PacketListener::bind(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        Ok(Self { listener, client_user })
    }

    /// Serves connections for as long as it is polled.
    pub async fn run(self, closer: Arc<dyn Closer>) -> io::Error {
        let mut connections = JoinSet::new();
        let seat = Arc::new(Semaphore::new(1));
        loop {
            while connections.len() >= MAX_CONNECTIONS {
                connections.join_next().await;
            }
            while connections.try_join_next().is_some() {}
            let packets = match self.listener.accept().await {
                Ok(packets) => packets,
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return error,
            };
            let peer = Peer::new(&packets, self.client_user);
            let session = Session { packets, peer, closer: Arc::clone(&closer), seat: Arc::clone(&seat), taken: None };
            connections.spawn(session.run());
        }
    }
}

impl fmt::Debug for CloserServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloserServer").field("client_user", &self.client_user).finish_non_exhaustive()
    }
}

/// The rights of the process at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Peer {
    Client,
    /// A process of the server's own user, which may only ask.
    Own,
    Stranger,
}

impl Peer {
    fn new(packets: &Packets, client_user: u32) -> Self {
        let own = rustix::process::geteuid().as_raw();
        match packets.peer_user() {
            Ok(user) if user == client_user => Self::Client,
            Ok(user) if user == own => Self::Own,
            _ => Self::Stranger,
        }
    }
}

/// A connection.
struct Session {
    packets: Packets,
    peer: Peer,
    closer: Arc<dyn Closer>,
    /// The right to order closings, which one connection has.
    seat: Arc<Semaphore>,
    taken: Option<OwnedSemaphorePermit>,
}

impl Session {
    /// Replies until the other end closes the connection or makes an error.
    async fn run(mut self) {
        loop {
            let reply = match self.packets.receive().await {
                Ok(None) => return,
                Ok(Some(packet)) => self.reply(&packet).await,
                Err(error) => Err(error.to_string()),
            };
            let (reply, is_last) = match reply {
                Ok(reply) => (reply, false),
                Err(error) => {
                    tracing::warn!(error, "a client of the closer made an error");
                    (Reply::Error(WireError { error }), true)
                }
            };
            let Ok(packet) = serde_json::to_vec(&reply) else { return };
            if self.packets.send(&packet).await.is_err() || is_last {
                return;
            }
        }
    }

    async fn reply(&mut self, packet: &[u8]) -> Result<Reply, String> {
        if self.peer == Peer::Stranger {
            return Err("this user may not use the closer; see --client-uid".to_owned());
        }
        let request = serde_json::from_slice(packet).map_err(|error| format!("this is no request: {error}"))?;
        match request {
            Request::Hello(VERSION) => Ok(Reply::Hello(self.closer.ability().await.into())),
            Request::Hello(version) => Err(format!("version {version} of the protocol is not known, but {VERSION} is")),
            Request::Close(_) if self.peer == Peer::Own => Err("this user may not close connections".to_owned()),
            Request::Close(close) => {
                let order = close.order().ok_or("the cookie is no number")?;
                let outcome = if self.takes_seat() {
                    self.closer.close(&order).await
                } else {
                    Outcome::Refused(Refusal::SecondClient)
                };
                if let Outcome::Refused(refusal) = outcome {
                    tracing::warn!(backend = %order.backend, local = %order.local, %refusal, "refused to close a connection");
                } else {
                    tracing::debug!(backend = %order.backend, local = %order.local, ?outcome, "ordered to close a connection");
                }
                Ok(Reply::Done(Done::new(close.id, outcome)))
            }
        }
    }

    fn takes_seat(&mut self) -> bool {
        if self.taken.is_none() {
            self.taken = Arc::clone(&self.seat).try_acquire_owned().ok();
        }
        self.taken.is_some()
    }
}

#[cfg(test)]
mod tests;
