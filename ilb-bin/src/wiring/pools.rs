//! Builds pools from their settings.

use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use ilb_controller::{Policy, Pool, PoolSpec};
use ilb_discovery::{BackendSet, Discovery, EndpointSliceDiscovery, FileDiscovery, KubeOptions, PodDiscovery, Poll};
use ilb_reconciler::{Method, Pacing};
use tokio::sync::OnceCell;

use super::{cluster::Cluster, connections::Visibility};
use crate::settings::{Backends, Namespaces, PoolSettings};

/// Builds pools from their settings, and holds the parts that they share.
pub(crate) struct PoolFactory {
    /// Host and port of the API of the only Traefik; `None` if there may be several.
    traefik: Option<(String, u16)>,
    /// Detected when the first pool needs it.
    visibility: OnceCell<Visibility>,
    /// Created when the first pool needs it, which a pool from a file never does.
    cluster: OnceCell<Cluster>,
}

impl PoolFactory {
    pub(crate) fn new(traefik: Option<(String, u16)>) -> Self {
        Self { traefik, visibility: OnceCell::new(), cluster: OnceCell::new() }
    }

    /// Creates the pool that `settings` describe.
    pub(crate) async fn build_pool(&self, settings: &PoolSettings) -> anyhow::Result<Pool> {
        let discovery = self.build_discovery(settings).await?;
        tracing::info!(
            pool = %settings.name,
            entry_point = %settings.entry_point,
            backends = %settings.backends,
            backend_port = %settings.port,
            watch = settings.watch,
            method = settings.method.as_str(),
            "Starting"
        );
        let pool = Pool::new(spec(settings), discovery).with_closing(settings.closing.clone());
        Ok(pool.with_policy(self.build_policy(settings).await))
    }

    /// Creates the pool that `settings` describe, with a fixed set: the backends that exist now.
    pub(crate) async fn build_snapshot(&self, settings: &PoolSettings) -> anyhow::Result<Pool> {
        let discovery = self.build_discovery(settings).await?;
        let set = match discovery.list().await {
            Ok(set) => set,
            Err(ilb_discovery::Error::Partial { set, cause }) => {
                tracing::error!(pool = %settings.name, error = %cause.with_causes(), "A part of the backends is not known");
                set
            }
            Err(error) => anyhow::bail!("pool {}: {}", settings.name, error.with_causes()),
        };
        let snapshot = Snapshot { set, discovery };
        let pool = Pool::new(spec(settings), snapshot).with_closing(settings.closing.clone());
        Ok(pool.with_policy(self.build_policy(settings).await))
    }

    async fn build_policy(&self, settings: &PoolSettings) -> Policy {
        if settings.method == Method::RoundRobin {
            return Policy::round_robin();
        }
        let pacing =
            Pacing::default().with_max_sample_period(settings.update_interval).with_slow_start(settings.slow_start);
        let visibility = self.visibility.get_or_init(|| Visibility::detect(self.traefik.as_ref())).await;
        visibility.start_least_connections(pacing).await
    }

    /// Creates the source of a pool's backends.
    pub(crate) async fn build_discovery(&self, settings: &PoolSettings) -> anyhow::Result<Arc<dyn Discovery>> {
        let port = settings.port.clone();
        Ok(match &settings.backends {
            Backends::File(path) => Arc::new(FileDiscovery::new(path).with_addresses(settings.addresses.clone())),
            Backends::Pods(selector) => {
                let Cluster { client, namespace } = self.connect_cluster().await?;
                let pods = PodDiscovery::new(client.clone(), namespace, selector.clone(), port);
                watched_or_polled(pods.with_options(options(settings)), settings)
            }
            Backends::Service(name) => {
                let Cluster { client, namespace } = self.connect_cluster().await?;
                let slices = EndpointSliceDiscovery::try_from_service(client.clone(), namespace, name, port)
                    .with_context(|| format!("cannot watch the Service {name}"))?;
                watched_or_polled(slices.with_options(options(settings)), settings)
            }
        })
    }

    /// Returns the cluster, which is connected to at the first call.
    pub(super) async fn connect_cluster(&self) -> anyhow::Result<&Cluster> {
        self.cluster.get_or_try_init(Cluster::from_environment).await
    }
}

/// Returns the options of a source in a cluster. Unless they name others, it searches the namespace of the process.
fn options(settings: &PoolSettings) -> KubeOptions {
    let PoolSettings { addresses, families, draining_fallback, namespaces, .. } = settings;
    let options = KubeOptions::default().with_addresses(addresses.clone()).with_families(*families);
    let options = if *draining_fallback { options.with_draining_fallback() } else { options };
    match namespaces {
        Namespaces::Own => options,
        Namespaces::These(names) => options.with_namespaces(names),
        Namespaces::All => options.with_all_namespaces(),
    }
}

fn watched_or_polled(source: impl Discovery, settings: &PoolSettings) -> Arc<dyn Discovery> {
    if settings.watch { Arc::new(source) } else { Arc::new(Poll::new(source, settings.update_interval)) }
}

fn spec(settings: &PoolSettings) -> PoolSpec {
    PoolSpec::new(settings.name.clone(), settings.entry_point.clone())
        .with_timeouts(settings.timeouts)
        .with_proxy_protocol(settings.proxy_protocol)
        .with_shares(settings.shares)
}

/// A source that publishes a single set of backends.
struct Snapshot {
    set: Arc<BackendSet>,
    discovery: Arc<dyn Discovery>,
}

#[async_trait]
impl Discovery for Snapshot {
    async fn list(&self) -> Result<Arc<BackendSet>, ilb_discovery::Error> {
        Ok(Arc::clone(&self.set))
    }

    fn watch(&self) -> BoxStream<'static, Result<Arc<BackendSet>, ilb_discovery::Error>> {
        stream::iter([Ok(Arc::clone(&self.set))]).chain(stream::pending()).boxed()
    }

    fn since_contact(&self) -> Option<std::time::Duration> {
        self.discovery.since_contact()
    }
}
