//! Measures how evenly live connections are spread by ilb and its peers, with real sockets and the same schedule for all.
//!
//! `make bench-balance` runs every scenario and the soak. Names of scenarios (or `soak`) and of contenders as arguments run
//! only those; `report` runs nothing. Earlier measurements are kept, and the report is about all of them. It writes `target/bench/balance.json`, and once every scenario has been run `docs/benchmarks/balance.{md,svg}`.

mod bars;
mod contender;
mod load;
mod measurements;
mod plot;
mod random;
mod report;
mod scenario;
mod soak;
mod system;

use std::{fs, time::Duration};

use anyhow::{Context, ensure};
use futures_util::future::join_all;
use ilb_testbed::{ApiServer, Ilb, eventually_within, tools};

use crate::{
    contender::Contender,
    load::Load,
    measurements::Measurements,
    scenario::{SCENARIOS, Scenario},
    system::System,
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let selection = Selection::from_arguments(std::env::args().skip(1))?;
    tools::path("haproxy")?;
    tools::path("nginx")?;
    Ilb::build()?;
    let mut measurements = Measurements::load()?;
    let api_server = ApiServer::start().await?;
    for scenario in SCENARIOS.iter().filter(|scenario| selection.has_scenario(scenario.name)) {
        run(scenario, &selection, &api_server, &mut measurements).await.with_context(|| scenario.name.to_owned())?;
        measurements.save()?;
    }
    drop(api_server);
    if selection.has_scenario(soak::NAME) {
        measurements.soak = Some(soak::run().await?);
        measurements.save()?;
    }
    report::write(&measurements)
}

/// The scenarios and contenders to run; all where there are none.
struct Selection {
    scenarios: Vec<String>,
    contenders: Vec<String>,
}

impl Selection {
    fn from_arguments(arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let (contenders, scenarios): (Vec<_>, Vec<_>) =
            arguments.partition(|argument| Contender::ALL.iter().any(|contender| contender.name() == argument));
        for name in &scenarios {
            let known = [soak::NAME, report::NAME].contains(&name.as_str())
                || SCENARIOS.iter().any(|scenario| scenario.name == name);
            ensure!(known, "there is no scenario and no contender '{name}'");
        }
        Ok(Self { scenarios, contenders })
    }

    fn has_scenario(&self, name: &str) -> bool {
        self.scenarios.is_empty() || self.scenarios.iter().any(|selected| selected == name)
    }

    fn has_contender(&self, contender: Contender) -> bool {
        self.contenders.is_empty() || self.contenders.iter().any(|selected| selected == contender.name())
    }
}

/// Runs a scenario with all contenders, in turns.
async fn run(
    scenario: &'static Scenario,
    selection: &Selection,
    api: &ApiServer,
    measurements: &mut Measurements,
) -> anyhow::Result<()> {
    for turn in Contender::TURNS {
        let contenders: Vec<_> = turn
            .iter()
            .filter(|contender| selection.has_contender(**contender) && scenario.concerns(**contender))
            .collect();
        if contenders.contains(&&Contender::Ilb) {
            wait_for_closed_connections().await?;
        }
        let mut loads = Vec::new();
        for contender in &contenders {
            eprintln!("{}: {}, {:.0} s", scenario.name, contender.name(), scenario.warm_up + scenario.length);
            loads.push(Load::new(System::start(**contender, scenario, api).await?, scenario).await?);
        }
        for result in join_all(loads.into_iter().map(Load::run)).await {
            let (contender, measurement) = result?;
            eprintln!("{}", report::line(scenario.name, contender.name(), &measurement));
            measurements.add(scenario.name, contender.name(), measurement);
        }
    }
    Ok(())
}

/// Waits until the kernel has forgotten the closed connections of former contenders: all share a network namespace here, and
/// ilb walks over their connections too when it counts its own.
async fn wait_for_closed_connections() -> anyhow::Result<()> {
    const MAX_CLOSED: usize = 500;
    eventually_within(Duration::from_secs(90), "the closed connections are forgotten", async || {
        let text = fs::read_to_string("/proc/net/sockstat")?;
        let mut words = text.split_whitespace().skip_while(|word| *word != "tw").skip(1);
        let closed: usize = words.next().context("/proc/net/sockstat has another form")?.parse()?;
        ensure!(closed <= MAX_CLOSED, "{closed} are left");
        Ok(())
    })
    .await
}
