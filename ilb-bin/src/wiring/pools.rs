//! Builds pools from their settings.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use async_trait::async_trait;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use ilb_controller::{Policy, Pool, PoolSpec};
use ilb_discovery::{
    BackendSet, Complaints, Discovery, EndpointSliceDiscovery, FileDiscovery, KubeOptions, PodDiscovery, Poll,
    SourceInfo, Zone,
};
use ilb_reconciler::{Method, Pacing, siblings::SILENT_AFTER};
use tokio::sync::{OnceCell, watch};

use super::{cluster::Cluster, connections::Visibility};
use crate::settings::{Backends, ClusterChoice, Namespaces, PoolSettings};

/// Builds pools from their settings, and holds the parts that they share.
pub(crate) struct PoolFactory {
    /// Host and port of the API of the only Traefik; `None` if there may be several.
    traefik: Option<(String, u16)>,
    /// Detected when the first pool needs it.
    visibility: OnceCell<Arc<Visibility>>,
    /// Created when the first pool needs it, which a pool from a file never does.
    cluster: OnceCell<Cluster>,
    /// True if siblings use the counts, which have to be fresh for them.
    has_siblings: bool,
    /// Cluster that was chosen on the command line.
    choice: ClusterChoice,
    /// Zone that this process runs in, once it is known.
    own_zone: watch::Receiver<Option<Zone>>,
}

/// Maximum time between two samples that siblings use: counts are too old from [`SILENT_AFTER`] on, and the exchange takes time.
const MAX_SAMPLE_PERIOD_WITH_SIBLINGS: Duration = Duration::from_millis(2500);
const _: () = assert!(MAX_SAMPLE_PERIOD_WITH_SIBLINGS.as_millis() * 2 <= SILENT_AFTER.as_millis());

impl PoolFactory {
    pub(crate) fn new(traefik: Option<(String, u16)>, has_siblings: bool) -> Self {
        let own_zone = watch::channel(None).1;
        let (visibility, cluster, choice) = (OnceCell::new(), OnceCell::new(), ClusterChoice::default());
        Self { traefik, visibility, cluster, has_siblings, choice, own_zone }
    }

    /// Uses this cluster, if one was chosen, also in a pod.
    pub(crate) fn with_cluster(self, choice: ClusterChoice) -> Self {
        Self { choice, ..self }
    }

    /// Sets the zone whose backends pools prefer that want that.
    #[must_use]
    pub(super) fn with_own_zone(self, own_zone: watch::Receiver<Option<Zone>>) -> Self {
        Self { own_zone, ..self }
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
        let longest = if self.has_siblings { MAX_SAMPLE_PERIOD_WITH_SIBLINGS } else { Duration::MAX };
        let period = settings.update_interval.min(longest);
        let pacing = Pacing::default().with_max_sample_period(period).with_slow_start(settings.slow_start);
        let policy = self.visibility().await.start_least_connections(pacing).await.with_limit(settings.limit);
        match settings.zone_max_excess {
            Some(max_excess) => policy.with_zones(self.own_zone.clone(), max_excess),
            None => policy,
        }
    }

    /// Returns the visibility of Traefik's connections.
    pub(super) async fn visibility(&self) -> &Arc<Visibility> {
        self.visibility.get_or_init(async || Arc::new(Visibility::detect(self.traefik.as_ref()).await)).await
    }

    /// Creates the source of a pool's backends.
    pub(crate) async fn build_discovery(&self, settings: &PoolSettings) -> anyhow::Result<Arc<dyn Discovery>> {
        let port = settings.port.clone();
        Ok(match &settings.backends {
            Backends::File(path) => Arc::new(FileDiscovery::new(path).with_addresses(settings.addresses.clone())),
            Backends::Pods(selector) => {
                let Cluster { client, namespace, .. } = self.connect_cluster().await?;
                let pods = PodDiscovery::new(client.clone(), namespace, selector.clone(), port);
                watched_or_polled(pods.with_options(options(settings)), settings)
            }
            Backends::Service(name) => {
                let Cluster { client, namespace, .. } = self.connect_cluster().await?;
                let slices = EndpointSliceDiscovery::try_from_service(client.clone(), namespace, name, port)
                    .with_context(|| format!("cannot watch the Service {name}"))?;
                watched_or_polled(slices.with_options(options(settings)), settings)
            }
        })
    }

    /// Returns the cluster, which is connected to at the first call.
    pub(super) async fn connect_cluster(&self) -> anyhow::Result<&Cluster> {
        self.cluster.get_or_try_init(|| Cluster::connect(&self.choice)).await
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

    fn info(&self) -> Option<SourceInfo> {
        self.discovery.info()
    }

    fn complaints(&self, limit: usize) -> Complaints {
        self.discovery.complaints(limit)
    }
}
