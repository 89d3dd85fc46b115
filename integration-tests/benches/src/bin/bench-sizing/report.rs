//! The table.

use std::fmt;

use serde::Serialize;

/// A figure of Traefik and of ilb.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) traefik: f64,
    pub(crate) ilb: f64,
}

impl Row {
    /// Returns what becomes of each figure.
    pub(crate) fn map(self, change: impl Fn(f64) -> f64) -> Self {
        Self { traefik: change(self.traefik), ilb: change(self.ilb) }
    }
}

/// All measurements.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Number of connections that were held.
    held: usize,
    /// Local ports towards one address and port.
    ports: u32,
    rows: Vec<(String, Row)>,
}

impl Report {
    pub(crate) fn new(held: usize, ports: u32) -> Self {
        Self { held, ports, rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, name: &str, row: Row) {
        eprintln!("{name}: Traefik {:.2}, ilb {:.2}", row.traefik, row.ilb);
        self.rows.push((name.to_owned(), row));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| | Traefik | ilb |\n|---|---:|---:|")?;
        for (name, row) in &self.rows {
            writeln!(f, "| {name} | {} | {} |", figure(row.traefik), figure(row.ilb))?;
        }
        write!(f, "{} connections were held; {} local ports towards one backend", self.held, self.ports)
    }
}

/// Formats a figure with as many places as its size makes useful. Less than nothing is what other work has freed.
fn figure(value: f64) -> String {
    match value.max(0.0) {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}
