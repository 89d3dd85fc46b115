//! The document of `/connections`, which `ilb connections` and the status page read.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// A page of the connections through Traefik.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ConnectionPage {
    /// Time since the kernel was asked.
    pub(crate) age_seconds: f64,
    /// Number of connections to backends.
    pub(crate) total: usize,
    /// Number of those whose client is certain.
    pub(crate) with_client: usize,
    /// Number of clients' connections whose backend is not certain.
    pub(crate) clients_without_backend: usize,
    /// Number of connections that were not read, because there are too many.
    pub(crate) left_out: usize,
    /// Number of rows that fit the filters.
    pub(crate) matching: usize,
    /// Number of those before the first row of this page.
    pub(crate) offset: usize,
    pub(crate) connections: Vec<ConnectionRow>,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ConnectionRow {
    /// Address of the client; `None` if it is not certain.
    pub(crate) client: Option<SocketAddr>,
    /// Address of the backend; `None` if it is not certain, or if there is none.
    pub(crate) backend: Option<SocketAddr>,
    /// Name of the pool; `None` if several have the backend and the client is not certain.
    pub(crate) pool: Option<String>,
    /// Name of the backend's pod, and its namespace.
    pub(crate) pod: Option<String>,
    pub(crate) namespace: Option<String>,
    /// Address of Traefik's side of the connection to the backend.
    pub(crate) local: Option<SocketAddr>,
    pub(crate) state: ConnectionState,
    /// Time since it was opened, at least.
    pub(crate) age_seconds: f64,
    /// Time since it was opened, at most; `None` for connections that were open before ilb looked for the first time.
    pub(crate) max_age_seconds: Option<f64>,
    /// Bytes of data sent to the backend, and received from it. Without a backend, those received from the client, and sent to
    /// it.
    pub(crate) bytes_to_backend: u64,
    pub(crate) bytes_from_backend: u64,
    /// Round-trip time to the backend.
    pub(crate) rtt_seconds: Option<f64>,
    /// Round-trip time to the client.
    pub(crate) client_rtt_seconds: Option<f64>,
    /// Segments that were sent to the backend again.
    pub(crate) retransmits: u32,
    /// Time since data was sent or received.
    pub(crate) quiet_seconds: Option<f64>,
}

/// State of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ConnectionState {
    /// The backend has not accepted it yet.
    Opening,
    Open,
    /// A side has shut down its half.
    HalfClosed,
}
