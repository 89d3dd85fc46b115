use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{net::TcpSocket, sync::Semaphore};

use crate::own_ports::{OwnPort, OwnPorts};

/// Tries whether somebody answers at an address, by TCP connect, with bounded concurrency and in connections that never
/// count as load.
#[derive(Clone, Debug)]
pub struct Prober {
    own_ports: Arc<OwnPorts>,
    permits: Arc<Semaphore>,
    within: Duration,
}

impl Prober {
    /// How many probes may be under way at a time.
    pub const CONCURRENCY: usize = 32;

    /// How long an answer may take, unless said otherwise: enough for one lost SYN, which is repeated after 1 s.
    pub const WITHIN: Duration = Duration::from_millis(1_500);

    pub(crate) fn new(own_ports: Arc<OwnPorts>) -> Self {
        Self { own_ports, permits: Arc::new(Semaphore::new(Self::CONCURRENCY)), within: Self::WITHIN }
    }

    /// The same prober with another limit for an answer.
    #[must_use]
    pub fn within(self, within: Duration) -> Self {
        Self { within, ..self }
    }

    /// Connects to `backend` and closes the connection; the time that it took, or why there is none. Waits for its turn
    /// if too many are under way.
    pub async fn probe(&self, backend: SocketAddr) -> io::Result<Duration> {
        let _permit = self.permits.acquire().await.map_err(io::Error::other)?;
        let started = Instant::now();
        let (socket, _own) = self.socket(backend)?;
        match tokio::time::timeout(self.within, socket.connect(backend)).await {
            Ok(connected) => connected.map(|_| started.elapsed()),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {:?}", self.within))),
        }
    }

    /// A socket whose local port is known before anybody can see a connection from it.
    fn socket(&self, backend: SocketAddr) -> io::Result<(TcpSocket, OwnPort)> {
        let (socket, any): (_, IpAddr) = match backend {
            SocketAddr::V4(_) => (TcpSocket::new_v4()?, Ipv4Addr::UNSPECIFIED.into()),
            SocketAddr::V6(_) => (TcpSocket::new_v6()?, Ipv6Addr::UNSPECIFIED.into()),
        };
        socket.bind((any, 0).into())?;
        let port = socket.local_addr()?.port();
        Ok((socket, self.own_ports.take(port)))
    }
}
