//! Probes backends with connections that never count as load.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::io::Errno;
use socket2::SockRef;
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::Semaphore,
    time::timeout,
};

use crate::own_sockets::{OwnSocket, OwnSockets};

/// Probes by TCP connect whether backends accept connections, and keep them.
///
/// A probe sends no data, and its connection never counts in the samples of the
/// [`KernelConnections`](crate::KernelConnections) that made the prober. Clones share the limits of concurrent probes.
///
/// A probe proves that something accepts the connection. Behind a service mesh that is the sidecar, which accepts every
/// connection whether the backend lives or not: there, a probe that only connects proves nothing.
#[derive(Clone, Debug)]
pub struct Prober {
    own_sockets: Arc<OwnSockets>,
    first_permits: Arc<Semaphore>,
    repeat_permits: Arc<Semaphore>,
    timeout: Duration,
    hold_time: Duration,
}

/// Result of a probe whose connection was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Probed {
    /// Time until the connection was accepted.
    pub connected_after: Duration,
    /// Set if the backend closed or reset the connection while it was held.
    pub closed_by_backend: bool,
}

/// A failed probe, by the side that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The backend refused the connection, could not be reached, or did not respond in time.
    #[error("the backend does not accept connections")]
    Backend(#[source] io::Error),
    /// The connection could not be attempted from here, which says nothing about the backend.
    #[error("the backend cannot be probed, because of this side: {}", advice(.0))]
    Local(#[source] io::Error),
}

impl Prober {
    /// Maximum number of [first probes](Self::probe) in progress at a time; further ones wait.
    pub const MAX_CONCURRENT_FIRST_PROBES: usize = 256;

    /// Maximum number of [repeated probes](Self::reprobe) in progress at a time; further ones wait.
    pub const MAX_CONCURRENT_REPEATED_PROBES: usize = 32;

    /// Default timeout of a connection attempt: enough for one lost SYN, which the kernel repeats after 1 s.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(1_500);

    /// Default time for which an accepted connection is held, to see whether the backend closes it.
    pub const DEFAULT_HOLD_TIME: Duration = Duration::from_millis(250);

    pub(crate) fn new(own_sockets: Arc<OwnSockets>) -> Self {
        Self {
            own_sockets,
            first_permits: Arc::new(Semaphore::new(Self::MAX_CONCURRENT_FIRST_PROBES)),
            repeat_permits: Arc::new(Semaphore::new(Self::MAX_CONCURRENT_REPEATED_PROBES)),
            timeout: Self::DEFAULT_TIMEOUT,
            hold_time: Self::DEFAULT_HOLD_TIME,
        }
    }

    /// Sets the timeout of a connection attempt.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets the time for which an accepted connection is held.
    #[must_use]
    pub fn with_hold_time(self, hold_time: Duration) -> Self {
        Self { hold_time, ..self }
    }

    /// Probes a backend that has just become suspect: connects to it, and holds the connection for a moment.
    ///
    /// Time spent waiting for other probes counts neither for the result nor for the timeout.
    ///
    /// # Errors
    ///
    /// [`ProbeError::Backend`] has the error of the connection attempt, [`TimedOut`](io::ErrorKind::TimedOut) if there is
    /// no response within the timeout. [`ProbeError::Local`] is a failure of this side, such as too many open files.
    pub async fn probe(&self, backend: SocketAddr) -> Result<Probed, ProbeError> {
        self.run(backend, &self.first_permits).await
    }

    /// Probes a backend again. It is the same as [`probe`](Self::probe), but has places of its own, so that backends that
    /// failed long ago never delay the first probe of another one.
    ///
    /// # Errors
    ///
    /// The same as those of [`probe`](Self::probe).
    pub async fn reprobe(&self, backend: SocketAddr) -> Result<Probed, ProbeError> {
        self.run(backend, &self.repeat_permits).await
    }

    async fn run(&self, backend: SocketAddr, permits: &Semaphore) -> Result<Probed, ProbeError> {
        let _permit = permits.acquire().await.map_err(|closed| ProbeError::Local(io::Error::other(closed)))?;
        let started = Instant::now();
        // Dropped after the stream: the socket is reserved for as long as it exists.
        let (socket, _own_socket) = self.open_socket(backend).map_err(ProbeError::Local)?;
        let Ok(connected) = timeout(self.timeout, socket.connect(backend)).await else {
            let error = io::Error::new(io::ErrorKind::TimedOut, format!("no response within {:?}", self.timeout));
            return Err(ProbeError::Backend(error));
        };
        let stream = connected.map_err(ProbeError::from_attempt)?;
        let connected_after = started.elapsed();
        let closed_by_backend = timeout(self.hold_time, wait_for_end(&stream)).await.is_ok();
        Ok(Probed { connected_after, closed_by_backend })
    }

    /// Returns a socket that is reserved before a sample can see its connection.
    fn open_socket(&self, backend: SocketAddr) -> io::Result<(TcpSocket, OwnSocket)> {
        let (socket, any): (_, IpAddr) = match backend {
            SocketAddr::V4(_) => (TcpSocket::new_v4()?, Ipv4Addr::UNSPECIFIED.into()),
            SocketAddr::V6(_) => (TcpSocket::new_v6()?, Ipv6Addr::UNSPECIFIED.into()),
        };
        socket.bind((any, 0).into())?;
        let port = socket.local_addr()?.port();
        let cookie = SockRef::from(&socket).cookie().ok();
        Ok((socket, self.own_sockets.reserve(cookie, port)))
    }
}

impl Probed {
    /// Creates the result of a connection that was accepted after this time.
    pub fn new(connected_after: Duration, closed_by_backend: bool) -> Self {
        Self { connected_after, closed_by_backend }
    }
}

/// Waits until the remote side has closed or reset the connection. What it sends, such as a greeting, is discarded.
async fn wait_for_end(stream: &TcpStream) {
    /// Whoever sends more than this is alive.
    const MAX_GREETING_BYTES: usize = 64 * 1024;
    let mut received = 0;
    let mut buffer = [0; 1024];
    while received < MAX_GREETING_BYTES {
        if stream.readable().await.is_err() {
            return;
        }
        match stream.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(bytes) => received += bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
    std::future::pending::<()>().await;
}

impl ProbeError {
    /// Classifies the error of a connection attempt. Only what came back from the network says something about the
    /// backend. A denied attempt does not: it may be this container alone that a policy or a security module keeps from
    /// connecting.
    fn from_attempt(error: io::Error) -> Self {
        let Some(errno) = Errno::from_io_error(&error) else { return Self::Local(error) };
        match errno {
            Errno::CONNREFUSED
            | Errno::CONNRESET
            | Errno::CONNABORTED
            | Errno::PIPE
            | Errno::TIMEDOUT
            | Errno::HOSTUNREACH
            | Errno::HOSTDOWN
            | Errno::NETUNREACH
            | Errno::NONET
            | Errno::NOPROTOOPT
            | Errno::PROTO => Self::Backend(error),
            _ => Self::Local(error),
        }
    }
}

/// Returns the way out of a failure of this side.
fn advice(error: &io::Error) -> &'static str {
    match Errno::from_io_error(error) {
        Some(Errno::MFILE) => "this process has too many open files; raise its limit (ulimit -n)",
        Some(Errno::NFILE) => "the node has too many open files; raise the limit of the node (sysctl fs.file-max)",
        Some(Errno::ADDRNOTAVAIL | Errno::ADDRINUSE) => {
            "no local port is free; widen the range of ports (sysctl net.ipv4.ip_local_port_range)"
        }
        Some(Errno::NOBUFS | Errno::NOMEM) => {
            "the kernel has no memory for another socket; raise the memory limit of the container, or sysctl \
             net.ipv4.tcp_mem of the node"
        }
        Some(Errno::ACCESS | Errno::PERM) => {
            "connecting is denied here; look at network policies, firewalls and security modules of this pod"
        }
        Some(Errno::AFNOSUPPORT) => "the address family of the backend is switched off in this network namespace",
        _ => "the connection could not be attempted",
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Errno::CONNREFUSED)]
    #[case(Errno::CONNRESET)]
    #[case(Errno::TIMEDOUT)]
    #[case(Errno::HOSTUNREACH)]
    #[case(Errno::NETUNREACH)]
    fn what_came_back_from_the_network_is_the_backends(#[case] errno: Errno) {
        assert!(matches!(ProbeError::from_attempt(errno.into()), ProbeError::Backend(_)));
    }

    #[rstest]
    #[case(Errno::MFILE, "ulimit -n")]
    #[case(Errno::NFILE, "fs.file-max")]
    #[case(Errno::NOBUFS, "tcp_mem")]
    #[case(Errno::NOMEM, "tcp_mem")]
    #[case(Errno::ADDRNOTAVAIL, "ip_local_port_range")]
    #[case(Errno::ADDRINUSE, "ip_local_port_range")]
    #[case(Errno::ACCESS, "network policies")]
    #[case(Errno::PERM, "network policies")]
    #[case(Errno::AFNOSUPPORT, "address family")]
    #[case(Errno::INVAL, "could not be attempted")]
    fn a_failure_of_this_side_names_the_way_out(#[case] errno: Errno, #[case] way_out: &str) {
        let error = ProbeError::from_attempt(errno.into());
        assert!(matches!(error, ProbeError::Local(_)));
        assert!(error.to_string().contains(way_out), "{error}");
    }
}
