//! A connection through the proxy, and what is known of it.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

/// All connections at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowTable {
    /// The connections to backends.
    pub flows: Vec<Flow>,
    /// Connections of clients whose backend is not certain.
    pub clients: Vec<LoneClient>,
    /// Number of sockets that were left out, because there are more than [`Flows::MAX_SOCKETS`](crate::Flows::MAX_SOCKETS). None is paired then.
    pub left_out: usize,
}

/// A connection to a backend, and the client's side of it, if that is certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flow {
    /// Number that the kernel gives to no other socket.
    pub cookie: u64,
    /// Address of the proxy's side.
    pub local: SocketAddr,
    /// Address of the backend.
    pub backend: SocketAddr,
    /// Address of the client; `None` if it is not certain.
    pub client: Option<SocketAddr>,
    /// Index of the pool; `None` if several have the backend and the client is not certain.
    pub pool: Option<usize>,
    /// State of the connection.
    pub state: FlowState,
    /// Time since it was opened.
    pub age: Age,
    /// Bytes of data sent to the backend.
    pub to_backend: u64,
    /// Bytes of data received from the backend.
    pub from_backend: u64,
    /// Smoothed round-trip time to the backend.
    pub rtt: Option<Duration>,
    /// Smoothed round-trip time to the client, if that is certain.
    pub client_rtt: Option<Duration>,
    /// Segments sent to the backend again.
    pub retransmits: u32,
    /// Time since data was sent or received; `None` before it is established.
    pub quiet: Option<Duration>,
}

/// A connection of a client whose backend is not certain: several may be, or there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoneClient {
    /// Number that the kernel gives to no other socket.
    pub cookie: u64,
    /// Address of the client.
    pub client: SocketAddr,
    /// Index of the pool.
    pub pool: usize,
    /// Time since it was opened.
    pub age: Age,
    /// Bytes of data received from the client.
    pub from_client: u64,
    /// Bytes of data sent to the client.
    pub to_client: u64,
    /// Smoothed round-trip time to the client.
    pub rtt: Option<Duration>,
    /// Time since data was sent or received.
    pub quiet: Option<Duration>,
}

/// Time since a connection was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age {
    /// The connection is at least this old.
    pub at_least: Duration,
    /// The connection is at most this old; `None` if that is not known, as of those that were open before this process.
    pub at_most: Option<Duration>,
}

/// State of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FlowState {
    /// The backend has not accepted it yet.
    Opening,
    /// Both sides may send.
    Established,
    /// A side has ended its half.
    HalfClosed,
}

/// A connection to a backend that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClosedFlow {
    /// Address of the proxy's side.
    pub local: SocketAddr,
    /// Address of the backend.
    pub backend: SocketAddr,
    /// Address of the client; `None` if it is not certain.
    pub client: Option<SocketAddr>,
    /// Index of the pool; `None` if several have the backend and the client is not certain.
    pub pool: Option<usize>,
    /// Time for which it was open.
    pub age: Age,
    /// Bytes of data sent to the backend.
    pub to_backend: u64,
    /// Bytes of data received from the backend.
    pub from_backend: u64,
    /// Unset if the kernel has forgotten the counts, because the proxy has reset the connection: these are of an earlier moment.
    pub is_exact: bool,
    /// Moment of the end.
    pub ended_at: Instant,
}

/// Maximum number of sockets of each side that a read returns.
pub(super) const MAX_SOCKETS: usize = 100_000;

impl Flow {
    /// Creates an established connection without traffic, of the first pool, whose client is not known.
    pub fn new(cookie: u64, local: SocketAddr, backend: SocketAddr, age: Age) -> Self {
        Self {
            cookie,
            local,
            backend,
            client: None,
            pool: Some(0),
            state: FlowState::Established,
            age,
            to_backend: 0,
            from_backend: 0,
            rtt: None,
            client_rtt: None,
            retransmits: 0,
            quiet: Some(age.at_least),
        }
    }
}

impl LoneClient {
    /// Creates a connection without traffic, of the first pool.
    pub fn new(cookie: u64, client: SocketAddr, age: Age) -> Self {
        let quiet = Some(age.at_least);
        Self { cookie, client, pool: 0, age, from_client: 0, to_client: 0, rtt: None, quiet }
    }
}

impl ClosedFlow {
    /// Creates a connection of the first pool that has ended now, with the bytes to the backend and from it, whose client is
    /// not known.
    pub fn new(local: SocketAddr, backend: SocketAddr, age: Age, bytes: (u64, u64)) -> Self {
        let (to_backend, from_backend) = bytes;
        let ended_at = Instant::now();
        Self { local, backend, client: None, pool: Some(0), age, to_backend, from_backend, is_exact: true, ended_at }
    }

    /// Sets the client.
    #[must_use]
    pub fn with_client(self, client: Option<SocketAddr>) -> Self {
        Self { client, ..self }
    }
}

impl Age {
    /// Returns `true` if the age is known up to this time.
    pub fn is_known_within(&self, time: Duration) -> bool {
        self.at_most.is_some_and(|at_most| at_most.saturating_sub(self.at_least) <= time)
    }
}
