//! The page `docs/applications.md`.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use anyhow::Context;
use ilb_testbed::in_checkout;

use crate::{
    apps,
    example::SHORTENED,
    record::Record,
    window::{Kept, spread},
};

/// Text in place of a table.
const UNMEASURED: &str = "No figures yet: no run has got through all events of it.";

/// Writes the page.
pub(crate) fn write(records: &[Record]) -> anyhow::Result<()> {
    let path = in_checkout("docs/applications.md");
    fs::write(&path, page(records)?).with_context(|| format!("cannot write {}", path.display()))
}

fn page(records: &[Record]) -> anyhow::Result<String> {
    let mut page = include_str!("page/introduction.md").replace("{shortened}", &shortened());
    for name in apps::NAMES {
        let of_this: Vec<_> = records.iter().filter(|record| record.application == name).collect();
        let guide = apps::guide(name)?;
        let figures = if of_this.is_empty() { UNMEASURED.to_owned() } else { table(&of_this) };
        write!(page, "\n{}", guide.replace("{table}", figures.trim_end()))?;
    }
    write!(page, "\n{}", include_str!("page/others.md"))?;
    Ok(page)
}

fn shortened() -> String {
    let names = SHORTENED
        .iter()
        .map(|(place, value)| format!("`{}` {value}", place.trim_start_matches("/closing/").replace('/', ".")));
    names.collect::<Vec<_>>().join(", ")
}

/// Formats the records of an application as a table.
fn table(records: &[&Record]) -> String {
    let mut table = "| event | connections of each server | operations | failed | longest wait | connections opened | closed by ilb | lost, and what else was seen |\n\
                     |---|---|---:|---|---:|---:|---:|---:|\n"
        .to_owned();
    for record in records {
        table += &row(record);
    }
    table
}

fn row(record: &Record) -> String {
    let seen = &record.seen;
    let errors: Vec<_> = seen.errors.iter().map(|(error, number)| format!("{number} `{error}`")).collect();
    let failed = match (seen.failed, seen.hurt) {
        (0, _) => "none".to_owned(),
        (_, 1) => format!("{} of one client", errors.join(", ")),
        (_, hurt) => format!("{} of {hurt} clients", errors.join(", ")),
    };
    let closed = if record.cut == 0 {
        record.closed.to_string()
    } else {
        format!("{}, {} of them whatever went on", record.closed, record.cut)
    };
    format!(
        "| {}{} | {} → {} | {} | {failed} | {:.1} s | {} | {closed} | {} |\n",
        record.event.name(),
        if record.closing { ", with closing" } else { "" },
        connections(&record.before),
        connections(&record.after),
        seen.confirmed,
        seen.longest_wait,
        seen.connected,
        kept(record.kept.as_ref(), &seen.noted),
    )
}

fn connections(of_each: &[usize]) -> String {
    let numbers: Vec<_> = of_each.iter().map(ToString::to_string).collect();
    format!("{} ({:.2})", numbers.join(", "), spread(of_each))
}

fn kept(kept: Option<&Kept>, noted: &BTreeMap<String, usize>) -> String {
    let mut parts = vec![kept.map_or_else(|| "–".to_owned(), |kept| kept.lost.len().to_string())];
    if let Some(kept) = kept.filter(|kept| kept.doubled > 0) {
        parts.push(format!("{} stored twice", kept.doubled));
    }
    if let Some(kept) = kept.filter(|kept| kept.failed_and_stored > 0) {
        parts.push(format!("{} failed and stored", kept.failed_and_stored));
    }
    parts.extend(noted.iter().filter(|(_, number)| **number > 0).map(|(what, number)| format!("{number} {what}")));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{event::Event, window::Window};

    #[test]
    fn a_row_says_what_clients_saw() {
        let record = Record {
            application: "mqtt".to_owned(),
            event: Event::RollingRestart,
            closing: true,
            clients: 60,
            before: vec![30, 30, 0],
            after: vec![20, 20, 20],
            seen: Window {
                confirmed: 900,
                failed: 3,
                errors: BTreeMap::from([("OSError".to_owned(), 3)]),
                connected: 63,
                longest_wait: 1.25,
                hurt: 2,
                noted: BTreeMap::from([("wills".to_owned(), 63)]),
            },
            kept: Some(Kept { lost: Vec::new(), doubled: 4, failed_and_stored: 0 }),
            closed: 60,
            cut: 1,
            took: 20.0,
        };
        assert_eq!(
            row(&record),
            "| rolling restart, with closing | 30, 30, 0 (1.50) → 20, 20, 20 (1.00) | 900 | 3 `OSError` of 2 clients | 1.2 s | \
             63 | 60, 1 of them whatever went on | 0, 4 stored twice, 63 wills |\n"
        );
    }

    #[test]
    fn every_application_has_a_guide_with_a_table_and_the_example_that_is_tried() {
        for name in apps::NAMES {
            let guide = apps::guide(name).unwrap();
            assert_eq!(guide.matches("{table}").count(), 1, "{name}");
            let example = apps::example(name).unwrap();
            assert!(guide.contains(example), "{name} does not name {example}");
        }
    }
}
