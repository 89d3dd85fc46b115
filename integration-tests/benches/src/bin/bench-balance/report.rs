//! The report about all measurements.

use std::{fmt::Write as _, fs};

use ilb_benches::bar::Bar;
use ilb_testbed::in_checkout;

use crate::{
    bars::bars,
    measurements::{Measurement, Measurements},
    plot,
};

/// Argument that requests nothing but the report.
pub(crate) const NAME: &str = "report";

/// Prints the tables and the verdicts. Once everything has been measured, also writes them to the documents.
pub(crate) fn write(measurements: &Measurements) -> anyhow::Result<()> {
    print!("{}", table(measurements));
    for bar in bars(measurements) {
        println!("{bar}");
    }
    println!("written to {}", measurements.save()?.display());
    if !measurements.is_complete() {
        println!("docs/benchmarks/balance.md is written when every scenario has been run");
        return Ok(());
    }
    let folder = in_checkout("docs/benchmarks");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("balance.md"), document(measurements))?;
    fs::write(folder.join("balance.svg"), plot::svg(measurements))?;
    Ok(())
}

fn document(measurements: &Measurements) -> String {
    let mut text = String::from(include_str!("introduction.md"));
    text.push_str("\n| bar | measured | at most | verdict |\n|---|---|---|---|\n");
    text.extend(bars(measurements).iter().map(Bar::row));
    let _ = write!(text, "\n## All measurements\n\n{}", table(measurements));
    if let Some(soak) = &measurements.soak {
        let _ = write!(text, "\n{soak}");
    }
    text
}

/// Formats one line per scenario and contender, in their order.
fn table(measurements: &Measurements) -> String {
    let mut table = String::from(
        "| scenario | contender | imbalance mean % | p99 % | failures | failed from 2 s % | from 5 s % | pushes/min | \
         ilb CPU % | Traefik CPU % |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (scenario, contender, measurement) in measurements.ordered() {
        table += &line(scenario, contender.name(), measurement);
        table.push('\n');
    }
    table
}

/// Formats a line of the table.
pub(crate) fn line(scenario: &str, system: &str, measurement: &Measurement) -> String {
    let part = |value: Option<f64>, by: f64| value.map_or(String::new(), |v| format!("{:.1}", v * by));
    format!(
        "| {scenario} | {system} | {:.1} | {:.1} | {} | {} | {} | {} | {} | {} |",
        measurement.mean() * 100.0,
        measurement.p99() * 100.0,
        measurement.failures,
        part(measurement.dead_share, 100.0),
        part(measurement.late_dead_share, 100.0),
        part(measurement.pushes_per_minute, 1.0),
        part(measurement.cpu, 100.0),
        part(measurement.traefik_cpu, 100.0),
    )
}
