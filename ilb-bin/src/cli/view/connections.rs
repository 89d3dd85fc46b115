//! The connections as a table for a terminal.

use std::fmt::Write as _;

use super::{
    style::{BAD_STYLE, QUIET_STYLE},
    table::{Cell, Table},
    text::plain,
};
use crate::observe::{
    connections::{ConnectionPage, ConnectionRow, ConnectionState},
    insight::numbers::{many, millis, span},
};

/// Writes a page of connections, and what it is a part of.
pub(in crate::cli) fn connections(page: &ConnectionPage, width: usize) -> String {
    let head = ["CLIENT", "BACKEND", "POD", "POOL"].map(Cell::left).into_iter();
    let head = head.chain(["OPEN FOR", "TO BACKEND", "FROM BACKEND", "RTT", "QUIET FOR"].map(Cell::right));
    let head = head.chain(["STATE"].map(Cell::left)).map(|cell| cell.style(QUIET_STYLE));
    let mut table = Table::with_head(head.collect());
    for row in &page.connections {
        table.push(cells(row));
    }
    let mut text: String = table.lines(width).map(|line| line + "\n").collect();
    for line in foot(page) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{QUIET_STYLE}{line}{QUIET_STYLE:#}");
    }
    text
}

/// Writes what one of several replicas has answered: a page, or the reason why there is none.
pub(in crate::cli) fn connections_of(replica: &str, answer: Result<&ConnectionPage, &str>, width: usize) -> String {
    let head = plain(replica);
    match answer {
        Ok(page) => format!("{head}\n{}", connections(page, width)),
        Err(problem) => format!("{head}\n{BAD_STYLE}{}{BAD_STYLE:#}\n", plain(problem)),
    }
}

fn cells(row: &ConnectionRow) -> Vec<Cell> {
    let or_unknown = |text: Option<String>| plain(&text.unwrap_or_else(|| "-".to_owned()));
    // Behind a "+", a connection may be older: it was open before anybody looked.
    let is_exact = row.max_age_seconds.is_some_and(|most| most - row.age_seconds < 5.0);
    let age = format!("{}{}", span(row.age_seconds), if is_exact { "" } else { "+" });
    let state = match row.state {
        ConnectionState::Opening => "opening",
        ConnectionState::Open => "",
        ConnectionState::HalfClosed => "half-closed",
    };
    vec![
        Cell::left(or_unknown(row.client.map(|client| client.to_string()))),
        Cell::left(or_unknown(row.backend.map(|backend| backend.to_string()))),
        Cell::left(or_unknown(row.pod.clone())),
        Cell::left(or_unknown(row.pool.clone())),
        Cell::right(age),
        Cell::right(bytes(row.bytes_to_backend)),
        Cell::right(bytes(row.bytes_from_backend)),
        Cell::right(or_unknown(row.rtt_seconds.map(round_trip))),
        Cell::right(or_unknown(row.quiet_seconds.map(span))),
        Cell::left(state),
    ]
}

/// Says which part of all connections is shown, and what is not certain.
fn foot(page: &ConnectionPage) -> Vec<String> {
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let shown = match page.connections.len() {
        0 => format!("none of {}", page.matching),
        rows => {
            format!("{} to {} of {}", page.offset.saturating_add(1), page.offset.saturating_add(rows), page.matching)
        }
    };
    let next = (page.offset.saturating_add(page.connections.len()) < page.matching).then_some("; --page shows others");
    let mut lines = vec![format!("{shown}{}", next.unwrap_or_default())];
    lines.push(format!(
        "{} to backends, the client of {} is certain; the backend of {} is not",
        many(count(page.total), "connection"),
        page.with_client,
        many(count(page.clients_without_backend), "client"),
    ));
    if page.left_out > 0 {
        lines.push(format!("{} more are left out: there are too many to be read", page.left_out));
    }
    lines
}

/// Formats a round-trip time, which within a node is some microseconds: `45 µs`.
fn round_trip(seconds: f64) -> String {
    if seconds < 0.001 { format!("{:.0} µs", seconds * 1e6) } else { millis(seconds) }
}

/// Formats a number of bytes: `1.5 MB`.
#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(in crate::cli) fn bytes(number: u64) -> String {
    let mut number = number as f64;
    for unit in ["B", "KB", "MB", "GB"] {
        if number < 999.5 {
            let digits = usize::from(number < 9.95 && unit != "B");
            return format!("{number:.digits$} {unit}");
        }
        number /= 1_000.0;
    }
    format!("{number:.1} TB")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> ConnectionRow {
        ConnectionRow {
            client: Some("192.0.2.1:50000".parse().unwrap()),
            backend: Some("10.0.0.1:5432".parse().unwrap()),
            pool: Some("db".to_owned()),
            pod: Some("db-1".to_owned()),
            namespace: Some("apps".to_owned()),
            local: None,
            state: ConnectionState::Open,
            age_seconds: 300.0,
            max_age_seconds: Some(301.0),
            bytes_to_backend: 9,
            bytes_from_backend: 1_536_000,
            rtt_seconds: Some(0.000_25),
            client_rtt_seconds: None,
            retransmits: 0,
            quiet_seconds: Some(2.0),
        }
    }

    fn page(connections: Vec<ConnectionRow>) -> ConnectionPage {
        ConnectionPage {
            age_seconds: 0.0,
            total: 7,
            with_client: 5,
            clients_without_backend: 1,
            left_out: 0,
            matching: 7,
            offset: 2,
            connections,
        }
    }

    fn shown(page: &ConnectionPage, width: usize) -> Vec<String> {
        let text = anstream::adapter::strip_str(&connections(page, width)).to_string();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_row_says_what_is_certain_and_leaves_the_rest_open() {
        let open = ConnectionRow {
            client: None,
            max_age_seconds: None,
            pod: Some("a\u{1b}[2J".to_owned()),
            state: ConnectionState::HalfClosed,
            rtt_seconds: None,
            ..row()
        };
        let lines = shown(&page(vec![row(), open]), 200);
        let fields = |line: &str| {
            line.split("  ").filter(|f| !f.trim().is_empty()).map(|f| f.trim().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            fields(&lines[1]),
            ["192.0.2.1:50000", "10.0.0.1:5432", "db-1", "db", "5 min", "9 B", "1.5 MB", "250 µs", "2 s"]
        );
        assert_eq!(
            fields(&lines[2]),
            ["-", "10.0.0.1:5432", "a\u{fffd}[2J", "db", "5 min+", "9 B", "1.5 MB", "-", "2 s", "half-closed"]
        );
        assert_eq!(lines[3], "3 to 4 of 7; --page shows others");
        assert_eq!(lines[4], "7 connections to backends, the client of 5 is certain; the backend of 1 client is not");
        assert!(shown(&page(vec![row()]), 60).iter().take(2).all(|line| line.chars().count() <= 60));
    }

    #[test]
    fn nothing_is_shown_where_nothing_fits() {
        assert_eq!(shown(&ConnectionPage { matching: 0, ..page(Vec::new()) }, 80)[1], "none of 0");
    }

    #[test]
    fn bytes_have_the_digits_that_matter() {
        let texts = [0, 999, 1_000, 9_960, 1_234_567, 5_000_000_000_000].map(bytes);
        assert_eq!(texts, ["0 B", "999 B", "1.0 KB", "10 KB", "1.2 MB", "5.0 TB"]);
    }
}
