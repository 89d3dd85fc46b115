//! The halves of clients' connections: those that the proxy has ended, and their clients have not.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;

use crate::{
    error::{Error, ReadError},
    netlink::Netlink,
    socket::Socket,
};

/// A client's connection that the proxy has ended, and the client has not.
///
/// That happens when a backend has ended the connection behind it. As a rule the client ends its own side a moment later.
/// One that does not notice, or that still sends something, leaves the half behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Half {
    /// Number that the kernel gives to no other socket.
    pub cookie: u64,
    /// Address of this side, with the port that the client connected to.
    pub local: SocketAddr,
    /// Address of the client.
    pub client: SocketAddr,
    /// Moment at which it became a half, or later: the client's kernel has acknowledged something then, which is the end or a
    /// keep-alive. `None` if the client has sent data since, so that the moment is not known.
    pub since: Option<Instant>,
    /// Time since the client has sent data.
    pub silent: Duration,
}

/// Lists the halves of clients' connections.
#[async_trait]
pub trait HalfSource: Send + Sync + 'static {
    /// Lists those that clients opened to one of these ports, and that a process still holds, in the order of their cookies.
    async fn halves(&self, ports: &BTreeSet<u16>) -> Result<Vec<Half>, Error>;
}

/// Lists the halves of clients' connections of this process's network namespace by netlink, which needs no privilege.
///
/// Clones share a socket. A list costs as much as the kernel takes to look at all sockets of the node, once for each family of
/// addresses in which somebody listens on the ports. Without a listener there are none.
#[derive(Clone, Default)]
pub struct KernelHalves {
    netlink: Arc<Mutex<Option<Netlink>>>,
}

/// Time by which a moment that the kernel reports may be off: it counts in ticks of at most 10 ms.
const TICK: Duration = Duration::from_millis(10);

impl Half {
    /// Creates a half that became one at this moment, and whose client has been silent since then.
    pub fn new(cookie: u64, local: SocketAddr, client: SocketAddr, since: Instant) -> Self {
        Self { cookie, local, client, since: Some(since), silent: since.elapsed() }
    }

    fn of(socket: &Socket, now: Instant) -> Option<Self> {
        let activity = socket.activity.filter(|activity| activity.is_half && socket.is_held())?;
        // A segment with data sets both times, and any other one only that of the acknowledgement.
        let is_known = activity.received_ago > activity.acknowledged_ago;
        let since = || Some(now.checked_sub(activity.acknowledged_ago)? + TICK);
        Some(Self {
            cookie: socket.identity,
            local: socket.local,
            client: socket.remote,
            since: is_known.then(since).flatten(),
            silent: activity.received_ago,
        })
    }
}

impl KernelHalves {
    fn list(&self, ports: &BTreeSet<u16>) -> Result<Vec<Half>, ReadError> {
        let mut slot = self.netlink.lock().unwrap_or_else(PoisonError::into_inner);
        // After an error another socket is opened: the rest of a failed response must not be taken for the next one.
        let mut netlink = slot.take().map_or_else(Netlink::open, Ok)?;
        let mut halves = Vec::new();
        netlink.visit_halves(ports, &mut |socket| {
            if ports.contains(&socket.local.port()) {
                halves.extend(Half::of(socket, Instant::now()));
            }
        })?;
        *slot = Some(netlink);
        // The kernel may show one twice if others are closed meanwhile.
        halves.sort_unstable_by_key(|half| half.cookie);
        halves.dedup_by_key(|half| half.cookie);
        Ok(halves)
    }
}

#[async_trait]
impl HalfSource for KernelHalves {
    async fn halves(&self, ports: &BTreeSet<u16>) -> Result<Vec<Half>, Error> {
        let (this, ports) = (self.clone(), ports.clone());
        let listing = tokio::task::spawn_blocking(move || this.list(&ports));
        Ok(listing.await.map_err(|_| Error::Cancelled)??)
    }
}

impl std::fmt::Debug for KernelHalves {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KernelHalves").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
