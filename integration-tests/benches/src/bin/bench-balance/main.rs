//! Measures how evenly live connections are spread by ilb and its peers, with real sockets and the same schedule for all.
//!
//! `make bench-balance` runs every scenario, the soak and the cost of the exchange. `SCENARIOS=steady,node-lost make bench-balance` runs only those;
//! names of scenarios (or `soak`, `exchange`) and of contenders as arguments select as well, and `report` runs nothing. Earlier
//! measurements are kept, and the report is about all of them and names those of other commits. It writes
//! `target/bench/balance.json`, and `docs/benchmarks/balance.{md,svg}` and `failing-backends.md` once all that they show has
//! been measured.

mod alone;
mod another_namespace;
mod backend;
mod bars;
mod clients;
mod contender;
mod elsewhere;
mod exchange;
mod failure;
mod load;
mod measurements;
mod plan;
mod plot;
mod report;
mod scenario;
mod soak;
mod system;

use std::{env, fs, time::Duration};

use anyhow::{Context, ensure};
use futures_util::future::join_all;
use ilb_benches::{run::Run, selection::Selection};
use ilb_testbed::{ApiServer, Ilb, eventually_within, in_a_network, open_loopback, raise_file_limit, tools};

use crate::{
    contender::Contender,
    load::Load,
    measurements::{Measurement, Measurements},
    scenario::{SCENARIOS, Scenario},
    system::{System, open_network},
};

/// Argument that makes this program measure in the network namespace that it is in.
const IN_THIS_NETWORK: &str = "in-this-network";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    raise_file_limit()?;
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [alone::NAME, scenario, contender] => measure_alone(scenario, contender).await,
        [exchange::ALONE, backends] => exchange::measure(backends).await,
        [elsewhere::NAME] => elsewhere::serve().await,
        [another_namespace::NAME] => another_namespace::hold().await,
        [IN_THIS_NETWORK, ..] => measure_all(arguments.into_iter().skip(1).collect()).await,
        _ => run_in_a_network(arguments),
    }
}

/// Runs this program once more, in a network namespace in which it may create devices.
fn run_in_a_network(arguments: Vec<String>) -> anyhow::Result<()> {
    selections(arguments.clone())?;
    // There, nothing could be fetched.
    for tool in ["haproxy", "nginx", "traefik", "etcd", "kube-apiserver"] {
        tools::path(tool)?;
    }
    let mut command = in_a_network("setpriv");
    Ilb::share_with(&mut command)?;
    command.args(["--pdeathsig", "KILL", "--"]).arg(env::current_exe()?).arg(IN_THIS_NETWORK).args(arguments);
    let status = command.status().context("cannot run unshare")?;
    ensure!(status.success(), "a network namespace of one's own needs root or user namespaces");
    Ok(())
}

/// Measures what was asked for, and reports.
async fn measure_all(arguments: Vec<String>) -> anyhow::Result<()> {
    let (scenarios, contenders) = selections(arguments)?;
    open_loopback()?;
    open_network()?;
    let mut session = Session { run: Run::now(), contenders, measurements: Measurements::load()? };
    let (alone, together): (Vec<_>, Vec<_>) =
        SCENARIOS.iter().filter(|scenario| scenarios.has(scenario.name)).partition(|scenario| scenario.is_alone());
    if !together.is_empty() {
        let api_server = ApiServer::start().await?;
        for scenario in together {
            session.run_together(scenario, &api_server).await.with_context(|| scenario.name.to_owned())?;
        }
        if !alone.is_empty() {
            wait_for_closed_connections().await?;
        }
    }
    for scenario in alone {
        session.run_alone(scenario).await.with_context(|| scenario.name.to_owned())?;
    }
    if scenarios.has(soak::NAME) {
        session.measurements.soak = Some(soak::measure(session.run.clone()).await?);
        session.measurements.save()?;
    }
    if scenarios.has(exchange::NAME) {
        session.measurements.exchange = Some(exchange::run(session.run.clone()).await?);
        session.measurements.save()?;
    }
    report::write(&session.measurements)
}

async fn measure_alone(scenario: &str, contender: &str) -> anyhow::Result<()> {
    let scenario = SCENARIOS.iter().find(|known| known.name == scenario).context("no such scenario")?;
    let contender = Contender::ALL.into_iter().find(|known| known.name() == contender).context("no such contender")?;
    alone::measure(scenario, contender).await
}

/// Returns the scenarios, the soak and the exchange among them, and the contenders to run, as the arguments and the environment say.
fn selections(arguments: Vec<String>) -> anyhow::Result<(Selection, Selection)> {
    let contenders = Contender::ALL.map(Contender::name);
    let mut scenarios: Vec<_> = SCENARIOS.iter().map(|scenario| scenario.name).collect();
    scenarios.extend([soak::NAME, exchange::NAME, report::NAME]);
    let (selected, others): (Vec<_>, Vec<_>) =
        arguments.into_iter().partition(|argument| contenders.contains(&argument.as_str()));
    let of_variable = Selection::from_variable("SCENARIOS", &scenarios)?;
    let of_arguments = Selection::from_names(others, &scenarios)?;
    Ok((of_variable.and(of_arguments), Selection::from_names(selected, &contenders)?))
}

/// One run of this program.
struct Session {
    run: Run,
    contenders: Selection,
    measurements: Measurements,
}

impl Session {
    /// Runs a scenario with all contenders in this process, in turns.
    async fn run_together(&mut self, scenario: &'static Scenario, api: &ApiServer) -> anyhow::Result<()> {
        // With few connections, none disturbs another.
        let turns: &[&[Contender]] =
            if scenario.has_siblings() { &[&Contender::OF_REPLICAS] } else { &Contender::TURNS };
        for turn in turns {
            let contenders = self.contenders_of(scenario, turn);
            if contenders.contains(&Contender::Ilb) {
                wait_for_closed_connections().await?;
            }
            let mut loads = Vec::new();
            for contender in contenders {
                announce(scenario, contender);
                for schedule in 0..scenario.schedules() {
                    let system = System::start(contender, scenario, Some(api)).await?;
                    loads.push(Load::new(system, scenario, schedule).await?);
                }
            }
            let mut measured = Vec::<(Contender, Measurement)>::new();
            for result in join_all(loads.into_iter().map(Load::run)).await {
                let (contender, measurement) = result?;
                match measured.iter_mut().find(|(known, _)| *known == contender) {
                    Some((_, before)) => before.add(measurement),
                    None => measured.push((contender, measurement)),
                }
            }
            for (contender, measurement) in measured {
                self.add(scenario, contender, measurement)?;
            }
        }
        Ok(())
    }

    /// Runs a scenario with each contender in a process and a network namespace of its own.
    async fn run_alone(&mut self, scenario: &'static Scenario) -> anyhow::Result<()> {
        for contender in self.contenders_of(scenario, &Contender::ALL) {
            announce(scenario, contender);
            let measurement = alone::run(scenario, contender).await?;
            self.add(scenario, contender, measurement)?;
        }
        Ok(())
    }

    fn contenders_of(&self, scenario: &Scenario, of: &[Contender]) -> Vec<Contender> {
        let takes_part = |contender: &Contender| self.contenders.has(contender.name()) && scenario.concerns(*contender);
        of.iter().copied().filter(takes_part).collect()
    }

    fn add(&mut self, scenario: &Scenario, contender: Contender, measurement: Measurement) -> anyhow::Result<()> {
        eprintln!("{}", report::summary(scenario, contender.name(), &measurement));
        let measurement = Measurement { run: self.run.clone(), ..measurement };
        self.measurements.add(scenario.name, contender.name(), measurement);
        self.measurements.save().map(drop)
    }
}

fn announce(scenario: &Scenario, contender: Contender) {
    eprintln!("{}: {}, {:.0} s", scenario.name, contender.name(), scenario.warm_up + scenario.length);
}

/// Waits until the kernel has forgotten the closed connections of former contenders, which share a network namespace: ilb
/// walks over their connections too when it counts its own.
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
