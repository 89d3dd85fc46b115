//! `ilb run`: builds the controller from the settings and runs it until a signal stops it.

use std::{pin::pin, sync::Arc};

use anyhow::Context;
use ilb_connections::{KernelHalves, Remote};
use ilb_controller::Controller;
use ilb_traefik_client::Configuration;

use super::{
    certificate, flows, own_zone,
    pools::PoolFactory,
    reload::{self, Reloader},
    siblings::{self, Reports},
    traefik::TraefikClients,
};
use crate::{
    exit::Failure,
    observe::{
        SettingsObserver,
        admin::Admin,
        connections::ConnectionTable,
        insight::Insight,
        kubernetes_events::KubernetesEvents,
        log::{self, LogObserver},
    },
    process::{logging::Log, panic, runtime::run_as_task, signals::Signals},
    settings::{Inputs, Settings},
};

/// Runs until a signal stops it. Reloads the file that `inputs` name and that `settings` were loaded from.
pub(crate) fn run(inputs: Inputs, settings: Settings, log: Log) -> Result<(), Failure> {
    panic::abort_on_panic(log.clone());
    run_as_task(async {
        let mut stop = pin!(Signals::listen().context("cannot listen to signals")?.first());
        let controller = tokio::select! {
            biased;
            signal = &mut stop => {
                log::stopping(signal);
                return Ok(());
            }
            started = start(inputs, settings, log) => started?,
        };
        controller.run(async { log::stopping(stop.await) }).await;
        Ok(())
    })
}

async fn start(inputs: Inputs, settings: Settings, log: Log) -> Result<Controller, Failure> {
    let insight = Insight::new().with_instance(&settings.instance);
    insight.set_backend_links(&settings.backend_links);
    insight.expect_siblings(settings.expect_siblings);
    // First, so that health checks are answered while the rest starts.
    let reports = siblings::reports(&settings);
    let table = ConnectionTable::new(insight.clone());
    let mut admin = Admin::bind(&settings.admin)?.with_connections(table.clone());
    if let Some(reports) = &reports {
        admin = admin.with_siblings(reports.receiver.clone());
    }
    admin.start(&insight, log.dropped_lines())?;
    let mut base = Configuration::default();
    base.set_default_certificate(certificate::generate().context("cannot generate a default certificate")?);
    let traefik = TraefikClients::from_settings(&settings.traefik).map_err(Failure::Invalid)?;
    let factory = PoolFactory::new(traefik.single, !settings.siblings.is_empty());
    let factory = factory.with_cluster(settings.cluster.clone());
    let own_zone = own_zone::find(&settings, &factory).await.map_err(Failure::Invalid)?;
    let factory = factory.with_own_zone(own_zone);
    let mut pools = Vec::new();
    for pool in &settings.pools {
        pools.push(factory.build_pool(pool).await.map_err(Failure::Invalid)?);
    }
    flows::start(&factory, traefik.only, &insight, &table, settings.connection_log).await?;
    let observer = SettingsObserver::new(insight.clone());
    let log_observer = LogObserver::new(log.dropped_lines(), log.repeated_lines());
    let exchange = match reports {
        Some(Reports { sender, .. }) => {
            let events = siblings::start(&settings, &sender, &factory, &insight).await.map_err(Failure::Invalid)?;
            Some((sender, events))
        }
        None => None,
    };
    if settings.kubernetes_events {
        let client = factory.connect_cluster().await.map_err(Failure::Invalid)?.client.clone();
        // Ends with the process, or when the right is missing.
        if let Some(events) = KubernetesEvents::new(client, &settings.instance, insight.clone()) {
            tokio::spawn(events.run());
        }
    }
    let closer = settings.closer_socket.clone().map(Remote::new);
    let changes = reload::start(Reloader::new(inputs, settings, factory, log, observer));
    let mut controller = Controller::new(traefik.sink, pools).with_base(base).with_changes(changes);
    if let Some(closer) = closer {
        controller = controller.with_closer(Arc::new(closer)).with_halves(Arc::new(KernelHalves::default()));
    }
    if let Some((reports, events)) = exchange {
        controller = controller.with_siblings(reports, events);
    }
    if let Some(instances) = traefik.instances {
        controller = controller.with_instances(instances);
    }
    Ok(controller.with_observer(log_observer).with_observer(insight))
}
