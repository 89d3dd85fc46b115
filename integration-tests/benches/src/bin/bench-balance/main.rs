//! How evenly live connections are spread: ilb beside its peers, with real sockets and the same schedule for all.
//!
//! `make bench-balance` runs every scenario and the soak. Names of scenarios (or `soak`) as arguments run only those, and
//! names of systems only these; `report` runs nothing. What was measured before is kept, and the report is about all of it.
//! It writes `target/bench/balance.json`, and once every scenario has been run `docs/benchmarks/balance.{md,svg}`.

mod bars;
mod figures;
mod load;
mod plot;
mod random;
mod report;
mod scenario;
mod soak;
mod system;

use std::{fs, time::Duration};

use anyhow::{Context, ensure};
use futures_util::future::join_all;
use ilb_testbed::{ApiServer, Ilb, Tools, eventually_within};

use crate::{
    figures::Figures,
    load::Load,
    scenario::{SCENARIOS, Scenario},
    system::{Kind, System},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let wish = Wish::of(std::env::args().skip(1))?;
    Tools::peers()?;
    Ilb::build()?;
    let mut figures = Figures::load()?;
    let api_server = ApiServer::start().await?;
    for scenario in SCENARIOS.iter().filter(|scenario| wish.scenario(scenario.name)) {
        run(scenario, &wish, &api_server, &mut figures).await.with_context(|| scenario.name.to_owned())?;
        figures.save()?;
    }
    drop(api_server);
    if wish.scenario(soak::NAME) {
        figures.soak = Some(soak::run().await?);
        figures.save()?;
    }
    report::write(&figures)
}

/// What to run.
struct Wish {
    scenarios: Vec<String>,
    systems: Vec<String>,
}

impl Wish {
    fn of(arguments: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let (systems, scenarios): (Vec<_>, Vec<_>) =
            arguments.partition(|argument| Kind::ALL.iter().any(|kind| kind.name() == argument));
        for name in &scenarios {
            let known = [soak::NAME, report::NAME].contains(&name.as_str())
                || SCENARIOS.iter().any(|scenario| scenario.name == name);
            ensure!(known, "there is no scenario and no system '{name}'");
        }
        Ok(Self { scenarios, systems })
    }

    fn scenario(&self, name: &str) -> bool {
        self.scenarios.is_empty() || self.scenarios.iter().any(|wished| wished == name)
    }

    fn system(&self, kind: Kind) -> bool {
        self.systems.is_empty() || self.systems.iter().any(|wished| wished == kind.name())
    }
}

/// Runs one scenario on all systems, in turns.
async fn run(scenario: &'static Scenario, wish: &Wish, api: &ApiServer, figures: &mut Figures) -> anyhow::Result<()> {
    for turn in Kind::TURNS {
        let kinds: Vec<_> = turn.iter().filter(|kind| wish.system(**kind) && scenario.concerns(**kind)).collect();
        if kinds.contains(&&Kind::Ilb) {
            quiet().await?;
        }
        let mut loads = Vec::new();
        for kind in &kinds {
            eprintln!("{}: {}, {:.0} s", scenario.name, kind.name(), scenario.warm_up + scenario.length);
            loads.push(Load::new(System::start(**kind, scenario, api).await?, scenario).await?);
        }
        for result in join_all(loads.into_iter().map(Load::run)).await {
            let (kind, figure) = result?;
            eprintln!("{}", report::line(scenario.name, kind.name(), &figure));
            figures.add(scenario.name, kind.name(), figure);
        }
    }
    Ok(())
}

/// Waits until the kernel has forgotten the closed connections of those that ran before: all share a network namespace here,
/// and who counts connections walks over theirs too.
async fn quiet() -> anyhow::Result<()> {
    const FEW: usize = 500;
    eventually_within(Duration::from_secs(90), "the closed connections are forgotten", async || {
        let text = fs::read_to_string("/proc/net/sockstat")?;
        let mut words = text.split_whitespace().skip_while(|word| *word != "tw").skip(1);
        let closed: usize = words.next().context("/proc/net/sockstat has another form")?.parse()?;
        ensure!(closed <= FEW, "{closed} are left");
        Ok(())
    })
    .await
}
