//! `ilb plan`: shows what would be pushed.

use clap::{ArgMatches, Command};
use ilb_reconciler::siblings::ReplicaId;
use ilb_siblings::Answer;
use ilb_traefik_client::Configuration;
use serde::Serialize;
use tokio::time::Instant;

use super::{
    admin_client::AdminClient,
    format::Format,
    inputs,
    output::{print, print_json},
    terminal,
    view::{self, Room},
};
use crate::{
    exit::{Exit, Failure},
    observe::insight::{Insight, PoolStatus, SiblingsStatus},
    process::{
        logging::{Log, LogOptions},
        runtime::block_on,
    },
    settings::Settings,
    wiring::{PoolFactory, TraefikClients, ask_once, find_for_a_plan},
};

/// Configuration that would be pushed, and the pools that it was decided from.
#[derive(Serialize)]
struct Plan {
    /// Version of this document. Pools are described as in the status of a running ilb.
    schema: u32,
    pools: Vec<PoolStatus>,
    /// Siblings whose connections the plan is by, too; absent without an exchange.
    siblings: Option<SiblingsStatus>,
    /// The configuration without the certificate, which each process generates for itself.
    configuration: Configuration,
}

pub(super) fn command() -> Command {
    Command::new("plan")
        .about("Show what would be pushed and closed, and why, and do nothing")
        .args(inputs::flags())
        .arg(Format::flag())
        .after_help("Example: ilb plan --selector app=my-app")
        .after_long_help(
            "Lists the backends once, counts their connections once, and asks each sibling for its connections once. If \
             ilb does not run in Traefik's network namespace, the connections cannot be seen, and the plan is that of \
             round robin.\n\nExamples:\n  \
             ilb plan --selector app=my-app --backend-port 5432\n  \
             kubectl exec deploy/my-lb -c ilb -- ilb plan -o json",
        )
}

pub(super) fn execute(matches: &ArgMatches) -> Result<Exit, Failure> {
    let settings = Settings::load(&inputs::from_matches(matches))?;
    let log = Log::start(&LogOptions::errors_only())?;
    let plan = block_on(Plan::make(&settings));
    log.flush();
    let plan = plan?;
    match Format::from_matches(matches) {
        Format::Json => print_json(&plan)?,
        Format::Table => {
            let room = Room { height: None, ..terminal::room() };
            print(&view::plan(&plan.pools, plan.siblings.as_ref(), room))?;
        }
    }
    Ok(Exit::Done)
}

/// Returns the identity of the ilb that runs here; `None` if none answers.
async fn running(settings: &Settings) -> Option<ReplicaId> {
    let answer = AdminClient::of(&settings.admin.address).ok()?.bytes("siblings").await.ok()?;
    Answer::parse(&answer).ok().map(|answer| answer.replica)
}

impl Plan {
    /// Lists the backends, counts their connections and decides, once.
    async fn make(settings: &Settings) -> Result<Self, Failure> {
        let traefik = TraefikClients::from_settings(&settings.traefik).map_err(Failure::Invalid)?;
        let factory = PoolFactory::new(traefik.single, false).with_cluster(settings.cluster.clone());
        let factory = find_for_a_plan(settings, factory).await.map_err(Failure::Invalid)?;
        let mut pools = Vec::new();
        for pool in &settings.pools {
            // A source that cannot be built is an invalid setting; one that cannot be listed is a failure outside ilb.
            factory.build_discovery(pool).await.map_err(Failure::Invalid)?;
            pools.push(factory.build_snapshot(pool).await?);
        }
        let mut insight = Insight::new();
        let desired = if settings.siblings.is_empty() {
            ilb_controller::plan(pools, &mut insight).await
        } else {
            match ask_once(settings, &factory, running(settings).await).await {
                Ok((own, events)) => {
                    insight.siblings_forbidden(None);
                    ilb_controller::plan_with_siblings(pools, own, &events, &mut insight).await
                }
                Err(error) => {
                    insight.expect_siblings(true);
                    insight.siblings_forbidden(Some(format!("{error:#}")));
                    ilb_controller::plan(pools, &mut insight).await
                }
            }
        };
        insight.planned(&desired);
        let mut configuration = Configuration::default();
        for pool in desired.values() {
            pool.add_to(&mut configuration);
        }
        let status = insight.read(|facts| facts.status(usize::MAX, Instant::now()));
        Ok(Self { schema: 1, pools: status.pools, siblings: status.siblings, configuration })
    }
}
