//! How evenly live connections are spread: ilb beside its peers, with real sockets and the same schedule for all, at the
//! same time.
//!
//! `make bench-balance` runs it; it writes `target/bench/balance.json` and `docs/benchmarks/balance.{md,svg}`. Names of scenarios
//! as arguments run only those, and write nothing into `docs`.

mod figures;
mod load;
mod plot;
mod random;
mod scenario;
mod system;

use anyhow::Context;
use ilb_integration_tests::ApiServer;

use crate::{
    figures::Figures,
    load::Load,
    scenario::{SCENARIOS, Scenario},
    system::{Kind, System},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let chosen: Vec<String> = std::env::args().skip(1).collect();
    for program in ["haproxy", "nginx"] {
        system::require(program)?;
    }
    let api_server = ApiServer::start().await?;
    let mut figures = Figures::default();
    for (number, scenario) in (0u8..).zip(&SCENARIOS) {
        if chosen.is_empty() || chosen.iter().any(|name| name == scenario.name) {
            eprintln!("{}: {:.0} s", scenario.name, scenario.warm_up + scenario.length);
            run(number, scenario, &api_server, &mut figures).await.with_context(|| scenario.name.to_owned())?;
        }
    }
    println!("{}", figures.table());
    figures.write(chosen.is_empty())
}

/// Runs one scenario on all systems at once.
async fn run(number: u8, scenario: &'static Scenario, api: &ApiServer, figures: &mut Figures) -> anyhow::Result<()> {
    let mut loads = Vec::new();
    for kind in Kind::ALL {
        loads.push(Load::new(System::start(kind, number, scenario, api).await?, scenario).await?);
    }
    let runs: Vec<_> = loads.into_iter().map(|load| tokio::spawn(load.run())).collect();
    for run in runs {
        let (kind, figure) = run.await??;
        figures.add(scenario.name, kind.name(), figure);
    }
    Ok(())
}
