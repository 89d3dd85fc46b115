//! The page `docs/compatibility.md`.

use std::{collections::BTreeMap, fmt::Write as _, fs, process::Command};

use anyhow::{Context, ensure};
use ilb_benches::versions::KUBERNETES;
use ilb_testbed::{in_checkout, tools};

/// Path of the page in the repository.
pub(crate) const PATH: &str = "docs/compatibility.md";

/// Text of a cell without an outcome.
const NOT_TRIED: &str = "not tried";

/// Result of the run with one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// Everything passed.
    Passed(String),
    /// Not as expected.
    Failed(String),
}

/// The rows of the table: what was tried, with an outcome for each version of Kubernetes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    rows: Vec<(String, BTreeMap<String, Cell>)>,
}

impl Page {
    /// Returns the outcomes on the page, so that a run of some versions keeps those of the others, also on another machine.
    pub(crate) fn of_earlier_runs() -> anyhow::Result<Self> {
        let text = fs::read_to_string(in_checkout(PATH)).with_context(|| format!("cannot read {PATH}"))?;
        Ok(Self::parse(&text))
    }

    /// Returns the outcomes in the table of Kubernetes' versions, the last one of the page.
    fn parse(text: &str) -> Self {
        let mut page = Self::default();
        let mut lines = text.lines().skip_while(|line| !line.starts_with("| | 1.")).map(cells);
        let versions = lines.next().unwrap_or_default();
        // The first line is the one between head and rows.
        for row in lines.skip(1) {
            let Some((name, outcomes)) = row.split_first() else { continue };
            for (version, outcome) in versions.iter().skip(1).zip(outcomes) {
                if let Some(cell) = Cell::parse(outcome) {
                    page.add(name, version, cell);
                }
            }
        }
        page
    }

    /// Adds an outcome, or replaces an earlier one.
    pub(crate) fn add(&mut self, row: &str, version: &str, cell: Cell) {
        if let Some((_, cells)) = self.rows.iter_mut().find(|(name, _)| name == row) {
            cells.insert(version.to_owned(), cell);
        } else {
            self.rows.push((row.to_owned(), [(version.to_owned(), cell)].into()));
        }
    }

    /// Returns the number of outcomes that are not as expected.
    pub(crate) fn failed(&self) -> usize {
        let cells = self.rows.iter().flat_map(|(_, cells)| cells.values());
        cells.filter(|cell| matches!(cell, Cell::Failed(_))).count()
    }

    /// Writes the page.
    pub(crate) fn write(&self) -> anyhow::Result<()> {
        let helms = format!("{} and {}", helm("helm")?, helm("helm-3")?);
        let introduction =
            include_str!("introduction.md").replace("{ILB}", env!("CARGO_PKG_VERSION")).replace("{HELMS}", &helms);
        let text = format!("{introduction}\n{}", self.table()?);
        fs::write(in_checkout(PATH), text).with_context(|| format!("cannot write {PATH}"))
    }

    /// Returns the table.
    fn table(&self) -> anyhow::Result<String> {
        let mut text = format!("| | {} |\n|---|{}\n", KUBERNETES.join(" | "), "---|".repeat(KUBERNETES.len()));
        for (name, cells) in &self.rows {
            let cells = KUBERNETES.map(|version| match cells.get(version) {
                Some(Cell::Passed(text)) => text.clone(),
                Some(Cell::Failed(text)) => format!("**{text}**"),
                None => NOT_TRIED.to_owned(),
            });
            writeln!(text, "| {name} | {} |", cells.join(" | "))?;
        }
        Ok(text)
    }
}

impl Cell {
    /// Returns the outcome in a cell of the table; `None` if there is none.
    fn parse(text: &str) -> Option<Self> {
        let failed = text.strip_prefix("**").and_then(|text| text.strip_suffix("**"));
        match (text, failed) {
            (NOT_TRIED, _) => None,
            (_, Some(text)) => Some(Self::Failed(text.to_owned())),
            (text, None) => Some(Self::Passed(text.to_owned())),
        }
    }
}

/// Returns the cells of a row.
fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

/// Returns the version of a Helm of the testbed, without its `v`.
fn helm(name: &str) -> anyhow::Result<String> {
    let output = Command::new(tools::path(name)?).args(["version", "--template", "{{.Version}}"]).output()?;
    ensure!(output.status.success(), "{name} does not print its version");
    Ok(String::from_utf8(output.stdout)?.trim().trim_start_matches('v').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_of_one_version_keeps_what_the_page_has_of_the_others() {
        let mut page = Page::default();
        let [first, second, ..] = KUBERNETES;
        page.add("discovery", first, Cell::Passed("21 tests".to_owned()));
        page.add("discovery", second, Cell::Failed("1 of 21 fail".to_owned()));
        page.add("chart", first, Cell::Passed("2 tests".to_owned()));
        let text = format!("# Page\n\n| a | b |\n|---|---|\n| c | d |\n\n{}", page.table().unwrap());
        assert_eq!(Page::parse(&text), page, "{text}");
    }

    #[test]
    fn the_page_of_this_repository_can_be_read() {
        let page = Page::of_earlier_runs().unwrap();
        assert!(page.rows.len() > 4 && page.rows.iter().all(|(_, cells)| cells.len() > 1), "{page:?}");
    }
}
