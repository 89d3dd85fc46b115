//! `ilb run`: the process that follows the backends and keeps Traefik true.

use std::{pin::pin, sync::Arc};

use anyhow::Context;
use ilb_discovery::{AddressPolicy, Discovery, PodDiscovery, Poll};
use ilb_reconciler::Pacing;
use ilb_traefik_client::Traefik;

use crate::{
    admin::Admin,
    balancing::Balancing,
    certificate,
    cli::Failure,
    cluster::Cluster,
    controller::Controller,
    crash, eyes,
    insight::{Insight, PoolInsight},
    report::Report,
    settings::{Method, Settings},
    shutdown::Signals,
};

/// Works until it is asked to stop.
pub(crate) fn run(settings: Settings) -> Result<(), Failure> {
    crash::end_on_panic();
    // kube and every later user of TLS share one provider per process; nobody has installed one before us.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // One thread: the work is waiting, and what there is to compute takes milliseconds.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")?;
    let done = runtime.block_on(async {
        let mut stop = pin!(Signals::listen().context("cannot listen to signals")?.first());
        let (controller, discovery) = tokio::select! {
            biased;
            signal = &mut stop => {
                Report::stopping(signal);
                return Ok(());
            }
            started = start(settings) => started?,
        };
        controller.run(discovery.watch(), stop).await;
        Ok(())
    });
    // A look-up of a name or a sample that hangs in the kernel must not delay the end.
    runtime.shutdown_background();
    done
}

async fn start(settings: Settings) -> Result<(Controller<Traefik>, Arc<dyn Discovery>), Failure> {
    let (admin, insight) = (Admin::bind(settings.admin_address).await?, Insight::new());
    // From the first moment on, so that probes are answered while the rest starts.
    tokio::spawn(admin.serve(insight.clone()));
    let discovery: Arc<dyn Discovery> = discovery(&settings).await?.into();
    let pool = &settings.pool;
    let insight = insight.pool(&pool.name, &pool.entry_point, settings.method.as_str(), Some(Arc::clone(&discovery)));
    let certificate = certificate::generate().context("cannot make a default certificate")?;
    let sink = Arc::new(Traefik::new(&settings.traefik_api_url).map_err(|error| Failure::Wrong(error.into()))?);
    let balancing = balancing(&settings, &sink, insight.clone()).await;
    Ok((Controller::new(settings.pool, certificate, sink, balancing, insight), discovery))
}

async fn balancing(settings: &Settings, traefik: &Traefik, insight: PoolInsight) -> Balancing {
    match settings.method {
        Method::RoundRobin => Balancing::round_robin(),
        Method::LeastConnections => {
            let pacing = Pacing::default().with_longest(settings.update_interval);
            Balancing::least_connections(eyes::open(traefik).await, pacing, insight)
        }
    }
}

async fn discovery(settings: &Settings) -> Result<Box<dyn Discovery>, Failure> {
    let cluster = Cluster::connect().await.map_err(Failure::Wrong)?;
    let namespace = settings.namespace.as_deref().unwrap_or(&cluster.namespace);
    tracing::info!(
        namespace,
        selector = %settings.selector,
        backend_port = settings.backend_port,
        watch = settings.use_watch,
        method = settings.method.as_str(),
        "Starting"
    );
    let addresses = AddressPolicy::default().allow_loopback(settings.allow_loopback);
    let pods = PodDiscovery::new(cluster.client, namespace, settings.selector.clone(), settings.backend_port)
        .with_addresses(addresses);
    Ok(if settings.use_watch { Box::new(pods) } else { Box::new(Poll::new(pods, settings.update_interval)) })
}
