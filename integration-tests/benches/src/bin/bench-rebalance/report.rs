//! The report about all measurements.

use std::{fmt::Write as _, fs};

use ilb_benches::{bar, run};
use ilb_testbed::in_checkout;

use crate::{
    bars,
    measurement::{Measurement, Measurements, Tally},
    scenario::Case,
};

/// Argument that requests nothing but the report.
pub(crate) const NAME: &str = "report";

/// Prints the table and the verdicts, and writes the page once all that it shows has been measured. Returns an error that
/// names the bars that were missed.
pub(crate) fn write(measurements: &Measurements) -> anyhow::Result<()> {
    println!("{}{}", table(measurements), older(measurements));
    println!("written to {}", measurements.save()?.display());
    if measurements.are_complete() {
        let folder = in_checkout("docs/benchmarks");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("rebalance.md"), page(measurements))?;
    } else {
        println!("docs/benchmarks/rebalance.md is written when everything has been measured");
    }
    bar::check(&bars::of(measurements))
}

fn page(measurements: &Measurements) -> String {
    let mut text = String::from(include_str!("introduction.md"));
    text += "| bar | measured | at most | verdict |\n|---|---|---|---|\n";
    text.extend(bars::of(measurements).iter().map(bar::Bar::row));
    let _ = write!(text, "\n## All measurements\n\n{TABLE}\n{}", table(measurements));
    text + &older(measurements)
}

/// Introduction of the table.
const TABLE: &str = "\
*Level after* counts from the moment at which the backends were added. *Closings* are those until then, and *more* those in
the 10 s after. *Twice* is the number of clients that were closed twice or more, *a second* the most closings in any second.
Processor time is in % of a core: of ilb in the 5 s before (*before*), then of ilb and of the closer until the backends were
level.
";

fn table(measurements: &Measurements) -> String {
    let mut table = String::from(
        "| scenario | by | rate | workload | level after s | first closing after s | minimum | closings | more | twice | a \
         second | cut | crossed | before % | ilb % | closer % |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (case, measurement) in measurements.ordered() {
        table += &line(&case, measurement);
        table.push('\n');
    }
    table
}

/// Formats the line of a case, which is also printed during the run.
pub(crate) fn line(case: &Case, measurement: &Measurement) -> String {
    let seconds = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.1}"));
    let of_each = |of: fn(&Tally) -> usize| {
        let cell = |tally: &Tally| format!("{} of {}", of(tally), tally.ends);
        measurement.workloads.values().map(cell).collect::<Vec<_>>().join(", ")
    };
    let percent = |cores: f64| format!("{:.2}", cores * 100.0);
    let cells = [
        case.scenario.name.to_owned(),
        case.contender.name().to_owned(),
        case.rate.to_string(),
        case.workload_names(),
        seconds(measurement.level_after),
        seconds(measurement.first_closing_after),
        measurement.minimum.to_string(),
        measurement.closings.to_string(),
        measurement.closings_after.to_string(),
        measurement.closed_twice.to_string(),
        measurement.most_in_a_second.to_string(),
        of_each(|tally| tally.cut),
        of_each(|tally| tally.crossed),
        percent(measurement.ilb_before),
        percent(measurement.ilb),
        percent(measurement.closer),
    ];
    format!("| {} |", cells.join(" | "))
}

/// Names the results that were measured at another commit than the last run.
fn older(measurements: &Measurements) -> String {
    let Some(last) = measurements.ordered().map(|(_, measurement)| &measurement.run).max() else {
        return String::new();
    };
    let named = |(case, measurement): (Case, &'_ Measurement)| {
        (measurement.run.commit.clone(), format!("`{}` {}", case.scenario.name, case.name()))
    };
    let results: Vec<_> = measurements.ordered().map(named).collect();
    run::kept(&last.commit, results.iter().map(|(commit, name)| (commit.as_str(), name.clone())))
}
