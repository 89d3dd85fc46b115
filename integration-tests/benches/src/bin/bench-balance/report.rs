use std::{fmt::Write as _, fs, path::Path};

use crate::{
    bars::bars,
    figures::{Figure, Figures},
    plot,
};

/// What to ask for to have the report alone.
pub(crate) const NAME: &str = "report";

/// Prints the tables and the verdicts; once everything has been measured it also writes them into the documents.
pub(crate) fn write(figures: &Figures) -> anyhow::Result<()> {
    print!("{}", table(figures));
    for bar in bars(figures) {
        println!("{bar}");
    }
    println!("written to {}", figures.save()?.display());
    if !figures.is_complete() {
        println!("docs/benchmarks/balance.md is written when every scenario has been run");
        return Ok(());
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmarks");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("balance.md"), document(figures))?;
    fs::write(folder.join("balance.svg"), plot::svg(figures))?;
    Ok(())
}

fn document(figures: &Figures) -> String {
    let mut text = String::from(include_str!("introduction.md"));
    text.push_str("\n| bar | measured | at most | verdict |\n|---|---|---|---|\n");
    text.extend(bars(figures).iter().map(crate::bars::Bar::row));
    let _ = write!(text, "\n## All figures\n\n{}", table(figures));
    if let Some(soak) = &figures.soak {
        let _ = write!(text, "\n{soak}");
    }
    text
}

/// One line per scenario and system, in their order.
fn table(figures: &Figures) -> String {
    let mut table = String::from(
        "| scenario | system | imbalance mean % | p99 % | failures | failed from 2 s % | from 5 s % | pushes/min | \
         ilb CPU % | Traefik CPU % |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (scenario, kind, figure) in figures.ordered() {
        table += &line(scenario, kind.name(), figure);
        table.push('\n');
    }
    table
}

pub(crate) fn line(scenario: &str, system: &str, figure: &Figure) -> String {
    let part = |value: Option<f64>, by: f64| value.map_or(String::new(), |v| format!("{:.1}", v * by));
    format!(
        "| {scenario} | {system} | {:.1} | {:.1} | {} | {} | {} | {} | {} | {} |",
        figure.mean() * 100.0,
        figure.p99() * 100.0,
        figure.failures,
        part(figure.dead_share, 100.0),
        part(figure.late_dead_share, 100.0),
        part(figure.pushes_per_minute, 1.0),
        part(figure.cpu, 100.0),
        part(figure.traefik_cpu, 100.0),
    )
}
