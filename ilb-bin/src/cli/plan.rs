use clap::{ArgMatches, Command};
use ilb_traefik_client::Configuration;
use serde::Serialize;
use tokio::time::Instant;

use super::{
    format::Format,
    inputs,
    output::{print, print_json},
    terminal, view,
    view::Room,
};
use crate::{
    exit::{Exit, Failure},
    observe::insight::{Insight, PoolStatus},
    process::{logging, runtime::block_on},
    settings::Settings,
    wiring::{PoolFactory, TraefikClients},
};

/// What would be pushed, and what it was decided from.
#[derive(Serialize)]
struct Plan {
    /// The version of this form. Pools are described as in the status of a running ilb.
    schema: u32,
    pools: Vec<PoolStatus>,
    /// What Traefik would be given, but for the certificate, which each process makes for itself.
    configuration: Configuration,
}

pub(super) fn form() -> Command {
    Command::new("plan")
        .about("Show what would be pushed and why, and push nothing")
        .args(inputs::flags())
        .arg(Format::flag())
        .after_help("Example: ilb plan --selector app=my-app")
        .after_long_help(
            "Lists the backends once and counts their connections once. Where ilb runs elsewhere than Traefik the \
             connections cannot be seen, and the plan is that of round robin.\n\nExamples:\n  \
             ilb plan --selector app=my-app --backend-port 5432\n  \
             kubectl exec deploy/my-lb -c ilb -- ilb plan -o json",
        )
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let settings = Settings::load(&inputs::of(matches))?;
    logging::start(&logging::LogOptions::errors_only());
    let plan = block_on(Plan::of(&settings))?;
    match Format::of(matches) {
        Format::Json => print_json(&plan)?,
        Format::Table => print(&view::plan(&plan.pools, Room { height: None, ..terminal::room() }))?,
    }
    Ok(Exit::Done)
}

impl Plan {
    async fn of(settings: &Settings) -> Result<Self, Failure> {
        let traefik = TraefikClients::from_settings(&settings.traefik).map_err(Failure::Wrong)?;
        let factory = PoolFactory::new(traefik.single);
        let mut pools = Vec::new();
        for pool in &settings.pools {
            // What cannot be built is a wrong setting; what cannot be listed is a failure outside.
            factory.discovery(pool).await.map_err(Failure::Wrong)?;
            pools.push(factory.snapshot(pool).await?);
        }
        let mut insight = Insight::new();
        let desired = ilb_controller::plan(pools, &mut insight).await;
        insight.planned(&desired);
        let mut configuration = Configuration::default();
        for pool in desired.values() {
            pool.add_to(&mut configuration);
        }
        let pools = insight.look(|facts| facts.status(usize::MAX, Instant::now()).pools);
        Ok(Self { schema: 1, pools, configuration })
    }
}
