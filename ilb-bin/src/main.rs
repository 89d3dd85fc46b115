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
mod pools;
mod repeats;
mod report;
mod settings;
mod shutdown;
mod sink;

use std::{io::IsTerminal, process::ExitCode};

use anyhow::Context;
use tokio::sync::mpsc;

use crate::{
    admin::Admin,
    controller::Controller,
    insight::Insight,
    pools::Pools,
    settings::{Inputs, Settings},
    sink::Sink,
};

/// The exit code for settings that cannot work: a restart will not help.
const WRONG_SETTINGS: u8 = 2;

fn main() -> ExitCode {
    let variables = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.to_string_lossy().into())));
    let inputs =
        Inputs { variables: variables.collect(), terminal: std::io::stderr().is_terminal(), ..Inputs::default() };
    let settings = match Settings::load(&inputs) {
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
        let certificate = certificate::generate().context("cannot make a default certificate")?;
        let sink = Sink::of(&settings.traefik)?;
        let factory = Pools::new(sink.only, insight.clone());
        let mut pools = Vec::new();
        for pool in &settings.pools {
            pools.push(factory.pool(pool).await?);
        }
        let (_changes, changed) = mpsc::channel(1);
        Controller::new(pools, changed, certificate, sink.sink, insight).run(signals.first()).await;
        Ok(())
    })
}
