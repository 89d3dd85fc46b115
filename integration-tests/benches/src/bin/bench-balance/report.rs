//! The report about all measurements.

use std::{fmt::Write as _, fs};

use ilb_benches::{bar::Bar, run};
use ilb_testbed::in_checkout;

use crate::{
    bars,
    measurements::{CountingCost, FailedShares, Measurement, Measurements},
    plot,
    scenario::{SCENARIOS, Scenario},
    soak::{self, Soak},
};

/// Argument that requests nothing but the report.
pub(crate) const NAME: &str = "report";

/// Prints the tables and the verdicts. Each page is also written to the documents once all that it shows has been measured.
pub(crate) fn write(measurements: &Measurements) -> anyhow::Result<()> {
    print!(
        "{}\n{}\n{}",
        table(measurements, |s| !is_about_failing(s)),
        table_of_failing(measurements),
        table_of_counting(measurements)
    );
    if let Some(exchange) = &measurements.exchange {
        print!("\n{exchange}");
    }
    let all = [bars::evenness(measurements), bars::replicas(measurements), bars::failing_backends(measurements)];
    for bar in all.iter().flatten() {
        println!("{bar}");
    }
    print!("{}", older(measurements, measurements.soak.as_ref(), |_| true));
    println!("written to {}", measurements.save()?.display());
    let folder = in_checkout("docs/benchmarks");
    fs::create_dir_all(&folder)?;
    if measurements.soak.is_some() && measurements.are_complete(SCENARIOS.iter().filter(|s| is_about_evenness(s))) {
        fs::write(folder.join("balance.md"), page_of_evenness(measurements))?;
        fs::write(folder.join("balance.svg"), plot::svg(measurements))?;
    } else {
        println!("docs/benchmarks/balance.md is written when all that it shows has been measured");
    }
    if measurements.exchange.is_some() && measurements.are_complete(SCENARIOS.iter().filter(|s| s.has_siblings())) {
        fs::write(folder.join("replicas.md"), page_of_replicas(measurements))?;
    } else {
        println!("docs/benchmarks/replicas.md is written when all that it shows has been measured");
    }
    if measurements.are_complete(SCENARIOS.iter().filter(|s| is_about_failing(s))) {
        fs::write(folder.join("failing-backends.md"), page_of_failing(measurements))?;
    } else {
        println!("docs/benchmarks/failing-backends.md is written when all that it shows has been measured");
    }
    Ok(())
}

fn page_of_evenness(measurements: &Measurements) -> String {
    let mut text = String::from(include_str!("introduction.md")) + &table_of_bars(&bars::evenness(measurements));
    let _ = write!(text, "\n## All measurements\n\n{}", table(measurements, is_about_evenness));
    let _ = write!(text, "\n## The cost of counting\n\n{COUNTING}\n{}", table_of_counting(measurements));
    if let Some(soak) = &measurements.soak {
        let _ = write!(text, "\n{soak}");
    }
    text + &older(measurements, measurements.soak.as_ref(), is_about_evenness)
}

fn page_of_replicas(measurements: &Measurements) -> String {
    let mut text = String::from(include_str!("replicas.md")) + &table_of_bars(&bars::replicas(measurements));
    let _ = write!(text, "\n## All measurements\n\n{}", table_of_replicas(measurements));
    if let Some(exchange) = &measurements.exchange {
        let _ = write!(text, "\n{exchange}");
    }
    text + &older(measurements, None, Scenario::has_siblings)
}

/// Formats one line per scenario of several replicas and contender.
fn table_of_replicas(measurements: &Measurements) -> String {
    let mut table = String::from(
        "| scenario | contender | imbalance mean % | p99 % | failures | pushes/min | ilb CPU % | Traefik CPU % |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for (scenario, contender, measurement) in measurements.ordered().filter(|(s, ..)| s.has_siblings()) {
        let _ = writeln!(
            table,
            "| {} | {} | {:.1} | {:.1} | {} | {} | {} | {} |",
            scenario.name,
            contender.name(),
            measurement.mean() * 100.0,
            measurement.p99() * 100.0,
            measurement.failures,
            part(measurement.pushes_per_minute, 1.0),
            part(measurement.cpu, 100.0),
            part(measurement.traefik_cpu, 100.0),
        );
    }
    table
}

fn page_of_failing(measurements: &Measurements) -> String {
    let text = String::from(include_str!("failing-backends.md")) + &table_of_failing(measurements);
    let bars = table_of_bars(&bars::failing_backends(measurements));
    text + "\n## Bars\n" + &bars + &older(measurements, None, is_about_failing)
}

/// Introduction of the table with the cost of counting.
const COUNTING: &str = "\
Processor time of counting in % of a core, by ilb's metric `ilb_pool_samples_cpu_seconds_total`, and of the whole ilb; each
over 12 s, and over 12 s more while another network namespace has 50 000 sockets. In `counting-300` 300 connections live 6 s,
in `counting-8000` 8 000 live an hour. All ends of all connections are in the network namespace of ilb.
";

fn is_about_failing(scenario: &Scenario) -> bool {
    scenario.failing().is_some()
}

fn is_about_evenness(scenario: &Scenario) -> bool {
    !is_about_failing(scenario) && !scenario.has_siblings()
}

fn table_of_bars(bars: &[Bar]) -> String {
    let head = String::from("\n| bar | measured | at most | verdict |\n|---|---|---|---|\n");
    bars.iter().fold(head, |text, bar| text + &bar.row())
}

/// Formats one line per scenario and contender, in their order.
fn table(measurements: &Measurements, is_shown: impl Fn(&Scenario) -> bool) -> String {
    let mut table = String::from(
        "| scenario | contender | imbalance mean % | p99 % | failures | failed from 2 s % | from 5 s % | pushes/min | \
         ilb CPU % | Traefik CPU % |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (scenario, contender, measurement) in measurements.ordered().filter(|(s, ..)| is_shown(s)) {
        table += &line(scenario, contender.name(), measurement);
        table.push('\n');
    }
    table
}

/// Formats the line of a contender in a scenario about evenness.
fn line(scenario: &Scenario, system: &str, measurement: &Measurement) -> String {
    let failed = |of: fn(FailedShares) -> f64| part(measurement.failed.map(of), 100.0);
    format!(
        "| {} | {system} | {:.1} | {:.1} | {} | {} | {} | {} | {} | {} |",
        scenario.name,
        measurement.mean() * 100.0,
        measurement.p99() * 100.0,
        measurement.failures,
        failed(|f| f.from_2s),
        failed(|f| f.from_5s),
        part(measurement.pushes_per_minute, 1.0),
        part(measurement.cpu, 100.0),
        part(measurement.traefik_cpu, 100.0),
    )
}

fn table_of_failing(measurements: &Measurements) -> String {
    let mut table = String::from(
        "| scenario | contender | failed from 2 s % | from 3 s % | from 10 s % | equal share % | imbalance mean % | working \
         backends in the plan, at least % |\n|---|---|---|---|---|---|---|---|\n",
    );
    for (scenario, contender, measurement) in measurements.ordered().filter(|(s, ..)| is_about_failing(s)) {
        let failed = |of: fn(FailedShares) -> f64| part(measurement.failed.map(of), 100.0);
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} | {} | {:.1} | {} |",
            scenario.name,
            contender.name(),
            failed(|f| f.from_2s),
            failed(|f| f.from_3s),
            failed(|f| f.from_10s),
            part(scenario.equal_share(), 100.0),
            measurement.mean() * 100.0,
            part(measurement.plan.map(|plan| plan.working_in_plan_min), 100.0),
        );
    }
    table
}

fn table_of_counting(measurements: &Measurements) -> String {
    let mut table = String::from(
        "| scenario | counting % | beside the sockets % | ilb % | beside the sockets % |\n|---|---|---|---|---|\n",
    );
    for (scenario, _, measurement) in measurements.ordered() {
        let Some(CountingCost { counting, counting_beside_sockets, ilb, ilb_beside_sockets }) = measurement.counting
        else {
            continue;
        };
        let cells =
            [counting, counting_beside_sockets, ilb, ilb_beside_sockets].map(|v| format!(" {:.2} |", v * 100.0));
        let _ = writeln!(table, "| {} |{}", scenario.name, cells.concat());
    }
    table
}

/// Formats the summary of a measurement, as it is printed during the run.
pub(crate) fn summary(scenario: &Scenario, system: &str, measurement: &Measurement) -> String {
    let mut text = line(scenario, system, measurement);
    if let Some(FailedShares { from_2s, from_3s, from_10s, .. }) = measurement.failed {
        let _ = write!(text, " failed from 2 s {from_2s:.4}, from 3 s {from_3s:.4}, from 10 s {from_10s:.4}");
    }
    if let Some(plan) = measurement.plan {
        let _ = write!(text, ", {plan:?}");
    }
    if let Some(counting) = measurement.counting {
        let _ = write!(text, " {counting:?}");
    }
    text
}

/// Names the results that were measured at another commit than the last run: of scenarios that `are_shown`, and of the soak,
/// if it is shown.
fn older(measurements: &Measurements, soak: Option<&Soak>, are_shown: impl Fn(&Scenario) -> bool) -> String {
    let runs = measurements.ordered().map(|(.., measurement)| &measurement.run);
    let Some(last) = runs.chain(measurements.soak.as_ref().map(|soak| &soak.run)).max() else { return String::new() };
    let scenarios = measurements
        .ordered()
        .filter(|(scenario, ..)| are_shown(scenario))
        .map(|(scenario, contender, f)| (&f.run, format!("`{}` of {}", scenario.name, contender.name())));
    let soak = soak.map(|soak| (&soak.run, format!("`{}`", soak::NAME)));
    run::kept(&last.commit, scenarios.chain(soak).map(|(run, name)| (run.commit.as_str(), name)))
}

fn part(value: Option<f64>, by: f64) -> String {
    value.map_or(String::new(), |v| format!("{:.1}", v * by))
}
