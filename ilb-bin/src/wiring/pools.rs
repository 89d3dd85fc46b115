//! From the settings of a pool to the pool.

use std::sync::Arc;

use anyhow::Context;
use futures_util::{StreamExt, stream};
use ilb_discovery::{Discovery, EndpointSliceDiscovery, FileDiscovery, PodDiscovery, Poll};
use ilb_reconciler::Pacing;
use tokio::sync::OnceCell;

use super::{cluster::Cluster, connections::Sight};
use crate::{
    balancing::Balancing,
    controller::{Frame, Pool, Sets},
    observe::insight::Insight,
    settings::{Backends, Capacities, Method, Namespaces, PoolSettings},
};

/// Makes pools.
pub(crate) struct Pools {
    /// Host and port of the Traefik, if it is one.
    traefik: Option<(String, u16)>,
    /// Found out when the first pool needs it.
    sight: OnceCell<Sight>,
    insight: Insight,
    /// Connected to when the first pool needs it: a pool of a file never does.
    cluster: OnceCell<Cluster>,
}

impl Pools {
    pub(crate) fn new(traefik: Option<(String, u16)>, insight: Insight) -> Self {
        Self { traefik, sight: OnceCell::new(), insight, cluster: OnceCell::new() }
    }

    /// The pool that `settings` describe, which begins to follow its backends when it is first polled.
    pub(crate) async fn pool(&self, settings: &PoolSettings) -> anyhow::Result<Pool> {
        let discovery: Arc<dyn Discovery> = self.discovery(settings).await?.into();
        tracing::info!(
            pool = %settings.name,
            entry_point = %settings.entry_point,
            backends = %settings.backends,
            backend_port = %settings.port,
            watch = settings.watch,
            method = settings.method.as_str(),
            "Starting"
        );
        let sets = discovery.watch();
        Ok(self.of(settings, discovery, sets).await)
    }

    /// The same pool as it is now: it knows the backends of this moment, and never hears of others.
    pub(crate) async fn once(&self, settings: &PoolSettings, discovery: Arc<dyn Discovery>) -> anyhow::Result<Pool> {
        let set = discovery.list().await?;
        Ok(self.of(settings, discovery, stream::iter([Ok(set)]).boxed()).await)
    }

    async fn of(&self, settings: &PoolSettings, discovery: Arc<dyn Discovery>, sets: Sets) -> Pool {
        let method = settings.method.as_str();
        let insight = self.insight.pool(&settings.name, &settings.entry_point, method, Some(discovery));
        let balancing = match settings.method {
            Method::RoundRobin => Balancing::round_robin(),
            Method::LeastConnections => {
                let pacing =
                    Pacing::default().with_longest(settings.update_interval).with_slow_start(settings.slow_start);
                let sight = self.sight.get_or_init(|| Sight::of(self.traefik.as_ref())).await;
                Balancing::least_connections(sight.eyes().await, pacing, insight.clone())
            }
        };
        let frame = Frame {
            name: settings.name.clone(),
            entry_point: settings.entry_point.clone(),
            timeouts: settings.timeouts,
            proxy_protocol: settings.proxy_protocol,
            equal_shares: settings.capacities == Capacities::Equal,
        };
        Pool::new(frame, sets, balancing, insight)
    }

    /// Who knows the backends.
    pub(crate) async fn discovery(&self, settings: &PoolSettings) -> anyhow::Result<Box<dyn Discovery>> {
        let PoolSettings { port, families, addresses, draining_fallback, .. } = settings;
        let (namespace, more) = match &settings.namespaces {
            Namespaces::These(names) => (names.first().cloned(), names.as_slice()),
            Namespaces::Own | Namespaces::All => (None, [].as_slice()),
        };
        let everywhere = settings.namespaces == Namespaces::All;
        // The two sources have the same options, and no type in common.
        macro_rules! with_options {
            ($source:expr) => {{
                let source = $source
                    .with_addresses(addresses.clone())
                    .with_families(*families)
                    .with_draining_fallback(*draining_fallback)
                    .in_namespaces(more);
                let source = if everywhere { source.in_all_namespaces() } else { source };
                if settings.watch { boxed(source) } else { boxed(Poll::new(source, settings.update_interval)) }
            }};
        }
        Ok(match &settings.backends {
            Backends::File(path) => Box::new(FileDiscovery::new(path).with_addresses(addresses.clone())),
            Backends::Pods(selector) => {
                let cluster = self.cluster().await?;
                let namespace = namespace.as_deref().unwrap_or(&cluster.namespace);
                let pods = PodDiscovery::new(cluster.client.clone(), namespace, selector.clone(), 1);
                with_options!(pods.with_port(port.clone()))
            }
            Backends::Service(name) => {
                let cluster = self.cluster().await?;
                let namespace = namespace.as_deref().unwrap_or(&cluster.namespace);
                let slices = EndpointSliceDiscovery::of_service(cluster.client.clone(), namespace, name, port.clone())
                    .with_context(|| format!("the Service {name} cannot be followed"))?;
                with_options!(slices)
            }
        })
    }

    async fn cluster(&self) -> anyhow::Result<&Cluster> {
        self.cluster.get_or_try_init(Cluster::connect).await
    }
}

fn boxed(discovery: impl Discovery + 'static) -> Box<dyn Discovery> {
    Box::new(discovery)
}
