//! The page `docs/reliability.md`, and the summary at the end of a run.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use ilb_testbed::in_checkout;

use crate::{
    fault::Fault,
    limits::{Limits, limits},
    resources::{FILES_ALLOWANCE, MEMORY_ALLOWANCE_KIB},
    results::{Part, Results},
    rows::{Row, rows},
    run::Record,
    setup::Setup,
    test_times,
};

/// Introduction of the page.
const INTRODUCTION: &str = include_str!("introduction.md");

/// Returns what was measured, as text for a terminal.
pub fn summary(results: &Results) -> String {
    let text = |part: &Part| format!("{}\n\n{}\n{}", title(part.setup), measured(part), trends(part));
    let parts = results.parts.iter().map(text);
    parts.collect::<Vec<_>>().join("\n")
}

/// Writes the page. Returns its path.
pub fn write(results: &Results) -> anyhow::Result<PathBuf> {
    let path = in_checkout("docs/reliability.md");
    fs::write(&path, page(results))?;
    Ok(path)
}

fn page(results: &Results) -> String {
    let mut text = INTRODUCTION.to_owned();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "\n## The run\n\n`make chaos SEED={} DURATION={}` on {}. Nothing was other than the model says.\n",
        results.seed, results.seconds, results.machine
    );
    let (steps, connections): (usize, u64) = results
        .parts
        .iter()
        .flat_map(|part| &part.records)
        .fold((0, 0), |(steps, connections), record| (steps + 1, connections + record.attempts));
    let _ = writeln!(text, "{steps} steps, {connections} new connections. {ABOUT_TABLES}");
    for part in &results.parts {
        let _ = write!(text, "\n### {}\n\n{}\n{}", title(part.setup), measured(part), trends(part));
    }
    let _ = write!(text, "\n## All faults and their tests\n\n{ALL_FAULTS}\n\n{}", all_faults(results));
    let _ = write!(text, "\n## The time limits\n\n{ABOUT_LIMITS}\n\n{}", all_limits());
    text
}

/// Text above the tables of the arrangements.
const ABOUT_TABLES: &str = "A step with two faults counts for both of them, and only for a fault that was never alone, which \
                            has a `*`: its figures are those of the two together. Failures at a pool that has \
                            just been scaled to zero are left out. An attempt counts where it ends, even if the fault \
                            that it met was in the step before: one that reaches a Traefik that is just starting may \
                            get its end only after 20 s.";

/// Text above the table of all faults.
const ALL_FAULTS: &str = "Times are the worst of the run above, of both arrangements. A row with \"test\" has no class in \
                          `make chaos`, because it needs a cluster, or an API server that misbehaves in ways that a real \
                          one cannot be made to: the time is that of the slowest of its tests on this machine, from the \
                          start of what it needs to the right outcome.";

/// Text above the table of the limits.
const ABOUT_LIMITS: &str = "What ilb is judged by, in seconds. Each is the sum of what bounds it. The machine gets 10 s on \
                            top, because all components share it, and changes of pods, which come with every fault, \
                            get 1 s. Two faults at once get the sum of their limits. \"–\" is a fault that shows nothing, or \
                            that may be over before it is shown.";

fn title(setup: Setup) -> &'static str {
    match setup {
        Setup::Fleet => "Two Traefiks",
        Setup::Single => "One Traefik, connections counted",
    }
}

/// Measurements of a class of faults.
#[derive(Default)]
struct Measured<'a> {
    noticed: Vec<f64>,
    records: Vec<&'a Record>,
}

/// Collects the steps of each class: those in which it was alone, or all if there are none.
fn by_class(records: &[Record]) -> BTreeMap<&str, Measured<'_>> {
    let mut classes: BTreeMap<&str, Measured<'_>> = BTreeMap::new();
    for is_alone in [true, false] {
        let known: Vec<_> = classes.keys().map(|class| (*class).to_owned()).collect();
        for record in records.iter().filter(|record| (record.faults.len() == 1) == is_alone) {
            for (class, noticed) in &record.faults {
                if !known.contains(class) {
                    let measured = classes.entry(class).or_default();
                    measured.noticed.extend(noticed);
                    measured.records.push(record);
                }
            }
        }
    }
    classes
}

/// Returns the table of an arrangement.
fn measured(part: &Part) -> String {
    let mut text =
        "| fault | n | noticed after, s | right again after, s | new connections that failed | connections that \
                    ended |\n|---|---:|---:|---:|---:|---:|\n"
            .to_owned();
    for (class, measured) in by_class(&part.records) {
        let recovered: Vec<_> = measured.records.iter().map(|record| record.recovered).collect();
        let sum = |of: fn(&Record) -> u64| measured.records.iter().map(|record| of(record)).sum::<u64>();
        let _ = writeln!(
            text,
            "| {class}{} | {} | {} | {} | {} of {} | {} |",
            if measured.records.iter().all(|record| record.faults.len() == 1) { "" } else { " *" },
            measured.records.len(),
            median_and_worst(&measured.noticed),
            median_and_worst(&recovered),
            sum(|record| record.failed),
            sum(|record| record.attempts),
            sum(|record| record.ended),
        );
    }
    text
}

fn trends(part: &Part) -> String {
    let trend = |(memory, files): ((u64, u64), (u64, u64))| {
        let (from, to) = (memory.0 >> 10, memory.1 >> 10);
        format!("{from} to {to} MiB and {} to {} files", files.0, files.1)
    };
    let trends: Vec<_> = part.trends.iter().map(|one| trend((one.memory_kib, one.files))).collect();
    let trends = if trends.is_empty() { "none lived long enough".to_owned() } else { trends.join("; ") };
    format!(
        "Memory and open files of each process of ilb (a debug build), medians of the first and the last third of its life \
         (allowed: {} MiB and {FILES_ALLOWANCE} files more): {trends}.\n",
        MEMORY_ALLOWANCE_KIB >> 10
    )
}

/// Returns the table of all faults.
fn all_faults(results: &Results) -> String {
    let classes: Vec<_> = results.parts.iter().map(|part| by_class(&part.records)).collect();
    let mut text = "| fault | tests | noticed | right again | what clients see |\n|---|---|---|---|---|\n".to_owned();
    for row in rows() {
        let (mut noticed, mut recovered): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
        for measured in classes.iter().flat_map(|classes| row.chaos.iter().filter_map(|class| classes.get(class))) {
            noticed.extend(&measured.noticed);
            recovered.extend(measured.records.iter().map(|record| record.recovered));
        }
        let bound = match (row.noticed, worst(&noticed)) {
            (bound, None) => bound.to_owned(),
            ("–", Some(worst)) => worst,
            (bound, Some(worst)) => format!("{bound}; {worst}"),
        };
        let by_tests =
            test_times::own_tests(row).filter_map(|test| results.tests.get(test.name)).copied().reduce(f64::max);
        let recovered =
            worst(&recovered).or(by_tests.map(|time| format!("test: {time:.1} s"))).unwrap_or_else(|| "–".to_owned());
        let _ = writeln!(text, "| {} | {} | {bound} | {recovered} | {} |", row.fault, tests_of(row), row.clients);
    }
    text
}

/// Returns the table of the limits of all classes.
fn all_limits() -> String {
    let mut text =
        "| fault | noticed within | because | right again within | because |\n|---|---:|---|---:|---|\n".to_owned();
    let mut faults = Fault::one_of_each(Setup::Single, &mut |_| 0);
    faults.sort_by_key(|fault| fault.class());
    for fault in faults {
        let Limits { noticed, right_again } = limits(fault);
        let (within, because) = noticed.map_or(("–".to_owned(), "–"), |one| (one.seconds.to_string(), one.because));
        let _ = writeln!(
            text,
            "| {} | {within} | {because} | {} | {} |",
            fault.class(),
            right_again.seconds,
            right_again.because
        );
    }
    text
}

/// Returns the tests of a row, each as a link to its file, and the classes of faults of `make chaos`.
fn tests_of(row: &Row) -> String {
    let tests = row.tests.iter().map(|test| format!("[`{}`](../{})", test.name, test.file));
    let classes = row.chaos.iter().map(|class| format!("chaos: {class}"));
    tests.chain(classes).collect::<Vec<_>>().join("<br>")
}

fn median_and_worst(values: &[f64]) -> String {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.get(sorted.len() / 2), sorted.last()) {
        (Some(median), Some(worst)) if sorted.len() > 1 => format!("{median:.1}, worst {worst:.1}"),
        (Some(only), _) => format!("{only:.1}"),
        _ => "–".to_owned(),
    }
}

fn worst(values: &[f64]) -> Option<String> {
    values.iter().copied().reduce(f64::max).map(|worst| format!("{worst:.1} s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(faults: &[&str], recovered: f64) -> Record {
        let faults = faults.iter().map(|class| ((*class).to_owned(), Some(1.0))).collect();
        Record { step: 1, faults, recovered, attempts: 10, failed: 2, ended: 1 }
    }

    #[test]
    fn a_step_with_two_faults_counts_only_for_those_that_were_never_alone() {
        let records = [record(&["a", "b"], 9.0), record(&["a"], 2.0)];
        let classes = by_class(&records);
        let recovered = |class| classes[class].records.iter().map(|record| record.recovered).collect::<Vec<_>>();
        assert_eq!((recovered("a"), recovered("b")), (vec![2.0], vec![9.0]));
    }

    #[test]
    fn the_page_has_each_row_with_its_tests_and_the_figures_of_its_classes() {
        let part = Part { setup: Setup::Fleet, records: vec![record(&["Traefik killed"], 2.5)], trends: Vec::new() };
        let results = Results {
            seed: 7,
            seconds: 600,
            machine: "a machine".to_owned(),
            parts: vec![part],
            tests: [("no_name".to_owned(), 1.5)].into(),
        };
        let page = page(&results);
        assert!(page.contains("make chaos SEED=7 DURATION=600` on a machine"));
        assert!(page.contains("| Traefik killed | 1 | 1.0 | 2.5 | 2 of 10 | 1 |"), "{page}");
        let row = page.lines().find(|line| line.starts_with("| Traefik restarts |")).unwrap();
        assert!(row.contains("fifty_kills_at_random_points_are_all_survived") && row.contains("| 2.5 s |"), "{row}");
    }
}
