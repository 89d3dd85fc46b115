//! Probes backends with connections that never count as load.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{net::TcpSocket, sync::Semaphore};

use crate::own_ports::{OwnPort, OwnPorts};

/// Probes by TCP connect whether backends accept connections.
///
/// A probe sends no data, and its connection never counts in the samples of the
/// [`KernelConnections`](crate::KernelConnections) that made the prober. Clones share the limit of concurrent probes.
#[derive(Clone, Debug)]
pub struct Prober {
    own_ports: Arc<OwnPorts>,
    permits: Arc<Semaphore>,
    timeout: Duration,
}

impl Prober {
    /// Maximum number of probes in progress at a time; further ones wait.
    pub const MAX_CONCURRENT_PROBES: usize = 32;

    /// Default timeout of a probe: enough for one lost SYN, which the kernel repeats after 1 s.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_millis(1_500);

    pub(crate) fn new(own_ports: Arc<OwnPorts>) -> Self {
        let permits = Arc::new(Semaphore::new(Self::MAX_CONCURRENT_PROBES));
        Self { own_ports, permits, timeout: Self::DEFAULT_TIMEOUT }
    }

    /// Sets the timeout of a probe.
    #[must_use]
    pub fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Connects to `backend`, closes the connection, and returns how long connecting took.
    ///
    /// Time spent waiting for other probes counts neither for the result nor for the timeout.
    ///
    /// # Errors
    ///
    /// Returns the error of the connection attempt: [`ConnectionRefused`](io::ErrorKind::ConnectionRefused) if nothing
    /// listens there, [`TimedOut`](io::ErrorKind::TimedOut) if there is no response within the timeout, and others of
    /// the operating system, such as an unreachable host. Fails as well if no local socket can be opened.
    pub async fn probe(&self, backend: SocketAddr) -> io::Result<Duration> {
        let _permit = self.permits.acquire().await.map_err(io::Error::other)?;
        let started = Instant::now();
        let (socket, _own_port) = self.socket(backend)?;
        match tokio::time::timeout(self.timeout, socket.connect(backend)).await {
            Ok(connected) => connected.map(|_| started.elapsed()),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no response within {:?}", self.timeout))),
        }
    }

    /// Returns a socket whose local port is reserved before a sample can see its connection.
    fn socket(&self, backend: SocketAddr) -> io::Result<(TcpSocket, OwnPort)> {
        let (socket, any): (_, IpAddr) = match backend {
            SocketAddr::V4(_) => (TcpSocket::new_v4()?, Ipv4Addr::UNSPECIFIED.into()),
            SocketAddr::V6(_) => (TcpSocket::new_v6()?, Ipv6Addr::UNSPECIFIED.into()),
        };
        socket.bind((any, 0).into())?;
        let port = socket.local_addr()?.port();
        Ok((socket, self.own_ports.reserve(port)))
    }
}
