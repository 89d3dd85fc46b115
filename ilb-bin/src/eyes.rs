use std::sync::Arc;

use ilb_connections::{KernelConnections, Options, is_local};
use ilb_traefik_client::Traefik;

use crate::balancing::{Eyes, probing};

/// What sees Traefik's connections; `None`, with one warning, where nothing can.
pub(crate) async fn open(traefik: &Traefik) -> Option<Eyes> {
    const CONSEQUENCE: &str = "Least connections is not possible: balancing by round robin";
    let (host, port) = traefik.host_and_port();
    if is_elsewhere(host, port).await {
        tracing::warn!(
            traefik = host,
            reason = "Traefik runs in another network namespace, where its connections cannot be seen",
            help = "run ilb beside Traefik in one pod, or set LB_METHOD=roundrobin",
            "{CONSEQUENCE}"
        );
        return None;
    }
    // In a pod with a service mesh, the mesh connects to the backends as well, as another user than Traefik.
    match KernelConnections::start(Options::default().of_listener(port)).await {
        Ok(connections) => {
            tracing::info!(by = %connections.method(), "Counting connections");
            Some(Eyes { probe: probing(connections.prober()), source: Arc::new(connections) })
        }
        Err(error) => {
            tracing::warn!(%error, help = "set LB_METHOD=roundrobin if that is what you want", "{CONSEQUENCE}");
            None
        }
    }
}

/// Whether none of the host's addresses is one of ours. A name that cannot be resolved now may become anything.
async fn is_elsewhere(host: &str, port: u16) -> bool {
    let Ok(addresses) = tokio::net::lookup_host((host, port)).await else { return false };
    let addresses: Vec<_> = addresses.collect();
    !addresses.is_empty() && addresses.iter().all(|address| !is_local(address.ip()))
}
