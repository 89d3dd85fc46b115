//! The section of a pool: its state, and a table of its backends.

use std::fmt::Write as _;

use anstyle::Style;

use super::{
    bars::{bar, curve},
    lines::{fact, summary},
    room::Room,
    style::{BAD_STYLE, GOOD_STYLE, QUIET_STYLE, TITLE_STYLE, WARN_STYLE},
    table::{Cell, Table},
    text::{plain, shortened},
};
use crate::observe::insight::{
    BackendState, BackendStatus, PoolStatus,
    numbers::{many, percent},
};

/// Columns of the table of backends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Columns {
    /// Values that change, with bars.
    Live,
    /// Values that a plan consists of.
    Plan,
}

/// Writes the state of a pool.
pub(super) fn section(pool: &PoolStatus, room: Room) -> Vec<String> {
    let width = room.width;
    let mut lines = vec![title(pool, width)];
    if !pool.degraded.is_empty() {
        lines.push(fact("Degraded", WARN_STYLE, &pool.degraded.join("; "), "", width));
    }
    lines.push(summary("API server", &pool.discovery.summary, width));
    if let Some(problem) = &pool.discovery.problem {
        lines.push(fact("", QUIET_STYLE, &problem.text, "", width));
    }
    lines.push(summary("Balancing", &pool.balancing, width));
    lines.extend(imbalance(pool, width));
    lines.extend(pool.closing.as_ref().map(|closing| summary("Closing", &closing.summary, width)));
    lines.extend(pool.sharing.as_ref().map(|sharing| summary("Sharing", &sharing.summary, width)));
    let height = room.height.map(|height| height.saturating_sub(lines.len()));
    lines.extend(backends(pool, Columns::Live, Room { height, ..room }));
    lines
}

/// Writes the plan of a pool.
pub(super) fn plan(pool: &PoolStatus, room: Room) -> Vec<String> {
    let mut lines = vec![title(pool, room.width), summary("Balancing", &pool.balancing, room.width)];
    lines.extend(imbalance(pool, room.width));
    lines.extend(pool.closing.as_ref().map(|closing| summary("Closing", &closing.summary, room.width)));
    lines.extend(backends(pool, Columns::Plan, room));
    lines
}

fn title(pool: &PoolStatus, width: usize) -> String {
    let title = plain(&format!("Pool {}", pool.name));
    let about = plain(&format!(", entry point {}: {}", pool.entry_point, pool.text));
    let about = shortened(&about, width.saturating_sub(title.chars().count()));
    format!("{TITLE_STYLE}{title}{TITLE_STYLE:#}{about}")
}

/// Writes the imbalance, now and over the last minutes, if there is anything to compare.
fn imbalance(pool: &PoolStatus, width: usize) -> Option<String> {
    let imbalance = &pool.imbalance;
    let ratio = imbalance.ratio?;
    let mut line = fact("Imbalance", Style::new(), &percent(ratio), &imbalance.text, width);
    let used = anstream::adapter::strip_str(&line).to_string().chars().count();
    // The top of the curve is at least 5 %, as on the status page.
    let curve = curve(&imbalance.history, 0.05, width.saturating_sub(used + 2).min(40));
    if curve.chars().count() > 2 {
        let _ = write!(line, "  {QUIET_STYLE}{curve}{QUIET_STYLE:#}");
    }
    Some(line)
}

/// Writes the table of backends. The least interesting ones are left out if there is no room for all.
fn backends(pool: &PoolStatus, columns: Columns, room: Room) -> Vec<String> {
    if pool.backends.is_empty() {
        return pool.note.iter().map(|note| format!("  {}", plain(note))).collect();
    }
    let mut list = pool.backends.clone();
    // One line is the head of the table, another says how many backends are left out.
    let rows = room.height.map_or(usize::MAX, |height| height.saturating_sub(2));
    let omitted = pool.omitted + BackendStatus::leave_out(&mut list, rows);
    let most = list.iter().filter_map(BackendStatus::connections).max().unwrap_or(0);
    let texts = list.iter().map(|b| b.address.to_string().len() + b.why.chars().count()).max().unwrap_or(0);
    // A bar takes the room that the other columns leave, within limits that look well.
    let bar_width = room.width.saturating_sub(texts + 45).clamp(8, 30);
    let mut table = Table::with_head(columns.head());
    for backend in &list {
        table.push(columns.row(backend, f64::from(most), bar_width));
    }
    let mut lines: Vec<_> = table.lines(room.width).collect();
    if omitted > 0 {
        let more = many(omitted as u64, "more backend");
        lines.push(format!("  {QUIET_STYLE}and {more}: `ilb status -o json` shows all{QUIET_STYLE:#}"));
    }
    lines
}

impl Columns {
    fn head(self) -> Vec<Cell> {
        let (left, right) =
            (|text: &str| Cell::left(text).style(QUIET_STYLE), |text: &str| Cell::right(text).style(QUIET_STYLE));
        match self {
            Self::Live => {
                vec![left("BACKEND"), left("STATE"), right("CONNECTIONS"), left(""), right("HEAD START"), left("WHY")]
            }
            Self::Plan => vec![
                left("BACKEND"),
                left("STATE"),
                right("CONNECTIONS"),
                right("CAPACITY"),
                right("WEIGHT"),
                right("HEAD START"),
                left("WHY"),
            ],
        }
    }

    fn row(self, backend: &BackendStatus, most: f64, bar_width: usize) -> Vec<Cell> {
        let style = match backend.state {
            BackendState::Ready => GOOD_STYLE,
            BackendState::Suspect | BackendState::Failing => BAD_STYLE,
            BackendState::Draining | BackendState::NotReady | BackendState::Unknown => WARN_STYLE,
        };
        let state = Cell::left(backend.state.to_string()).style(style);
        let count = backend.connections();
        let counted = Cell::right(match backend.opening {
            Some(opening @ 1..) => {
                let open = count.map_or(0, |count| count.saturating_sub(opening));
                format!("{open} + {opening} opening")
            }
            _ => count.map_or("–".to_owned(), |count| count.to_string()),
        });
        let head_start = Cell::right(match backend.head_start {
            Some(0) => "0".to_owned(),
            Some(ahead) => format!("+{ahead}"),
            None => "–".to_owned(),
        });
        let why = Cell::left(plain(&backend.why)).style(QUIET_STYLE);
        let address = backend.address.to_string();
        match self {
            Self::Live => {
                let shares = if backend.capacity > 1 { format!(" ×{}", backend.capacity) } else { String::new() };
                let bar = Cell::left(bar(count.map_or(0.0, f64::from), most, bar_width)).style(style);
                vec![Cell::left(address + &shares), state, counted, bar, head_start, why]
            }
            Self::Plan => {
                let weights = backend.weights.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
                let weight = Cell::right(if weights.is_empty() { "–".to_owned() } else { weights });
                let capacity = Cell::right(backend.capacity.to_string());
                vec![Cell::left(address), state, counted, capacity, weight, head_start, why]
            }
        }
    }
}
