//! Measures how ilb levels live connections after a scale-out by closing some of them, beside an upper bound of the age of
//! connections, with real sockets and clients that work meanwhile.
//!
//! `make bench-rebalance` runs everything. `SCENARIOS=4-to-8-400 make bench-rebalance` runs only that scenario; names of
//! scenarios, of contenders (`ilb`, `by-age`) and of rates (`10/s`, `50/s`) as arguments select as well, and `report` runs
//! nothing. Earlier measurements are kept, and the report is about all of them and names those of other commits. It writes
//! `target/bench/rebalance.json`, and `docs/benchmarks/rebalance.md` once all that it shows has been measured.

mod age;
mod backend;
mod bars;
mod clients;
mod measure;
mod measurement;
mod report;
mod scenario;
mod scene;
mod workload;

use anyhow::Context;
use ilb_benches::{alone, run::Run, selection::Selection};
use ilb_testbed::{raise_file_limit, tools};

use crate::{
    measurement::{Measurement, Measurements},
    scenario::{Case, Contender, RATES, SCENARIOS, Scenario},
};

/// Argument that makes this program measure one case in the network namespace that it is in.
const ALONE: &str = "alone";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    raise_file_limit()?;
    if let [ALONE, scenario, case] = arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        return measure_alone(scenario, case).await;
    }
    let selection = Selected::from_arguments(arguments)?;
    // Where the cases are measured, nothing could be fetched.
    tools::path("traefik")?;
    let (run, mut measurements) = (Run::now(), Measurements::load()?);
    for case in SCENARIOS.iter().flat_map(Scenario::cases).filter(|case| selection.has(case)) {
        eprintln!("{}: {}, at most {:.0} s", case.scenario.name, case.name(), case.limit().as_secs_f64());
        let measured: anyhow::Result<Measurement> = alone::run(&[ALONE, case.scenario.name, &case.name()]).await;
        let measurement = measured.with_context(|| format!("{}: {}", case.scenario.name, case.name()))?;
        eprintln!("{}", report::line(&case, &measurement));
        measurements.add(&case, Measurement { run: run.clone(), ..measurement });
        measurements.save()?;
    }
    report::write(&measurements)
}

/// Measures a case in this process, and prints the measurement for the process that started this one.
async fn measure_alone(scenario: &str, case: &str) -> anyhow::Result<()> {
    let scenario = SCENARIOS.iter().find(|known| known.name == scenario).context("no such scenario")?;
    let case = scenario.cases().find(|known: &Case| known.name() == case).context("no such case")?;
    println!("{}", serde_json::to_string(&measure::measure(case).await?)?);
    Ok(())
}

/// The cases to measure.
struct Selected {
    scenarios: Selection,
    contenders: Selection,
    rates: Selection,
}

impl Selected {
    /// Selects what the arguments and the environment say.
    fn from_arguments(arguments: Vec<String>) -> anyhow::Result<Self> {
        let (contenders, rates) = (Contender::ALL.map(Contender::name), RATES.map(rate_name));
        let mut scenarios: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
        scenarios.push(report::NAME);
        let (of_contenders, others): (Vec<_>, Vec<_>) =
            arguments.into_iter().partition(|argument| contenders.contains(&argument.as_str()));
        let (of_rates, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|argument| rates.contains(argument));
        let of_variable = Selection::from_variable("SCENARIOS", &scenarios)?;
        Ok(Self {
            scenarios: of_variable.and(Selection::from_names(others, &scenarios)?),
            contenders: Selection::from_names(of_contenders, &contenders)?,
            rates: Selection::from_names(of_rates, &rates.each_ref().map(String::as_str))?,
        })
    }

    fn has(&self, case: &Case) -> bool {
        self.scenarios.has(case.scenario.name)
            && self.contenders.has(case.contender.name())
            && self.rates.has(&rate_name(case.rate))
    }
}

fn rate_name(rate: u32) -> String {
    format!("{rate}/s")
}
