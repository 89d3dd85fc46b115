//! `ilb`: keeps a Traefik beside it balancing TCP connections over the ready pods that a label selector selects.

mod admin;
mod balancing;
mod certificate;
mod cluster;
mod controller;
mod eyes;
mod insight;
mod logging;
mod metrics;
mod repeats;
mod report;
mod settings;
mod shutdown;

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use ilb_discovery::{AddressPolicy, Discovery, PodDiscovery, Poll};
use ilb_reconciler::Pacing;
use ilb_traefik_client::Traefik;

use crate::{
    admin::Admin,
    balancing::Balancing,
    cluster::Cluster,
    controller::Controller,
    insight::{Insight, PoolInsight},
    settings::{Method, Settings},
};

/// The exit code for settings that cannot work: a restart will not help.
const WRONG_SETTINGS: u8 = 2;

fn main() -> ExitCode {
    let settings = match Settings::from_environment(std::env::vars_os()) {
        Ok(settings) => settings,
        Err(problems) => {
            eprint!("{problems}");
            return ExitCode::from(WRONG_SETTINGS);
        }
    };
    logging::start(&settings.log);
    match run(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "Cannot start");
            ExitCode::from(WRONG_SETTINGS)
        }
    }
}

fn run(settings: Settings) -> anyhow::Result<()> {
    // kube and every later user of TLS share one provider per process; nobody has installed one before us.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // One thread: the work is waiting, and what there is to compute takes milliseconds.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let signals = shutdown::Signals::listen().context("cannot listen to signals")?;
        let (admin, insight) = (Admin::bind(settings.admin_address).await?, Insight::new());
        // From the first moment on, so that probes are answered while the rest starts.
        tokio::spawn(admin.serve(insight.clone()));
        let discovery: Arc<dyn Discovery> = discovery(&settings).await?.into();
        let pool = &settings.pool;
        let insight =
            insight.pool(&pool.name, &pool.entry_point, settings.method.as_str(), Some(Arc::clone(&discovery)));
        let certificate = certificate::generate().context("cannot make a default certificate")?;
        let sink = Arc::new(Traefik::new(&settings.traefik_api_url)?);
        let balancing = balancing(&settings, &sink, insight.clone()).await;
        let controller = Controller::new(settings.pool, certificate, sink, balancing, insight);
        controller.run(discovery.watch(), signals.first()).await;
        Ok(())
    })
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

async fn discovery(settings: &Settings) -> anyhow::Result<Box<dyn Discovery>> {
    let cluster = Cluster::connect().await?;
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
