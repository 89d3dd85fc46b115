//! Detects whether the connections of Traefik can be counted from here, and starts to count them.

use ilb_connections::{KernelConnections, Options, is_local};
use ilb_controller::Policy;
use ilb_reconciler::Pacing;
use tokio::sync::OnceCell;

/// Visibility of Traefik's connections to this process.
pub(crate) enum Visibility {
    /// Traefik runs, as far as its address shows, in this network namespace.
    Visible {
        /// Port of Traefik's API, by which its sockets are recognised.
        api_port: u16,
        /// What counts for all pools. Started when the first pool needs it.
        connections: OnceCell<KernelConnections>,
    },
    Hidden {
        reason: String,
    },
}

impl Visibility {
    /// Detects the visibility. `traefik` is the host and port of the API of the only Traefik.
    pub(crate) async fn detect(traefik: Option<&(String, u16)>) -> Self {
        let reason = match traefik {
            None => "there are several Traefiks, whose connections cannot be seen from one place".to_owned(),
            Some((host, port)) if is_elsewhere(host, *port).await => {
                format!("Traefik at {host} runs in another network namespace, where its connections cannot be seen")
            }
            Some((_, port)) => return Self::Visible { api_port: *port, connections: OnceCell::new() },
        };
        Self::Hidden { reason }
    }

    /// Returns what counts connections, if it has been started.
    pub(crate) fn counting(&self) -> Option<KernelConnections> {
        match self {
            Self::Visible { connections, .. } => connections.get().map(KernelConnections::handle),
            Self::Hidden { .. } => None,
        }
    }

    /// Returns what counts connections, which is started if it has not been; `None` where it cannot count.
    pub(crate) async fn start_counting(&self) -> Option<KernelConnections> {
        match self {
            Self::Visible { api_port, connections } => {
                connections.get_or_try_init(|| start(*api_port)).await.ok().map(KernelConnections::handle)
            }
            Self::Hidden { .. } => None,
        }
    }

    /// Starts to count, and creates least connections by the counts. Where the connections cannot be counted, it balances
    /// by round robin and reports why.
    pub(crate) async fn start_least_connections(&self, pacing: Pacing) -> Policy {
        let (port, connections) = match self {
            Self::Visible { api_port, connections } => (*api_port, connections),
            Self::Hidden { reason } => return Policy::least_connections_without_counts(reason, pacing),
        };
        match connections.get_or_try_init(|| start(port)).await {
            Ok(connections) => Policy::least_connections(connections.handle(), pacing),
            Err(error) => Policy::least_connections_without_counts(error.with_causes().to_string(), pacing),
        }
    }
}

/// Starts to count the connections of the user that listens at this port: in a pod with a service mesh, the mesh connects
/// to the backends too, as another user.
async fn start(api_port: u16) -> Result<KernelConnections, ilb_connections::Error> {
    let connections = KernelConnections::start(Options::default().with_listener_port(api_port)).await?;
    tracing::info!(by = %connections.method(), "Counting connections");
    Ok(connections)
}

/// Returns true if none of the host's addresses is local. A name that cannot be resolved may become local later.
async fn is_elsewhere(host: &str, port: u16) -> bool {
    let Ok(addresses) = tokio::net::lookup_host((host, port)).await else { return false };
    let addresses: Vec<_> = addresses.collect();
    !addresses.is_empty() && addresses.iter().all(|address| !is_local(address.ip()))
}
