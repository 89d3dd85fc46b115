use ilb_connections::{KernelConnections, Options, is_local};
use ilb_controller::Counter;

/// Whether the connections of Traefik can be seen from here.
pub(crate) struct Visibility {
    /// The port of Traefik's API, if they can; else why not.
    port: Result<u16, &'static str>,
}

const CONSEQUENCE: &str = "Least connections is not possible: balancing by round robin";

impl Visibility {
    /// Finds out, with one warning if not. `traefik` is the host and port of the only Traefik.
    pub(crate) async fn of(traefik: Option<&(String, u16)>) -> Self {
        let reason = match traefik {
            None => "there are several Traefiks, whose connections cannot be seen from one place",
            Some((host, port)) if is_elsewhere(host, *port).await => {
                "Traefik runs in another network namespace, where its connections cannot be seen"
            }
            Some((_, port)) => return Self { port: Ok(*port) },
        };
        tracing::warn!(
            traefik = traefik.map(|(host, _)| host),
            reason,
            help = "run ilb beside Traefik in one pod, or set LB_METHOD=roundrobin",
            "{CONSEQUENCE}"
        );
        Self { port: Err(reason) }
    }

    /// What sees them, or why nothing can.
    pub(crate) async fn counter(&self) -> Result<Counter, String> {
        let port = self.port.map_err(str::to_owned)?;
        // In a pod with a service mesh, the mesh connects to the backends as well, as another user than Traefik.
        match KernelConnections::start(Options::default().with_listener_port(port)).await {
            Ok(connections) => {
                tracing::info!(by = %connections.method(), "Counting connections");
                Ok(Counter::from(connections))
            }
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::new(error));
                tracing::warn!(%error, help = "set LB_METHOD=roundrobin if that is what you want", "{CONSEQUENCE}");
                Err(error)
            }
        }
    }
}

/// Whether none of the host's addresses is one of ours. A name that cannot be resolved now may become anything.
async fn is_elsewhere(host: &str, port: u16) -> bool {
    let Ok(addresses) = tokio::net::lookup_host((host, port)).await else { return false };
    let addresses: Vec<_> = addresses.collect();
    !addresses.is_empty() && addresses.iter().all(|address| !is_local(address.ip()))
}
