//! A line for each pool, where there is no room for more.

use std::cmp::Reverse;

use super::{
    room::Room,
    style::{QUIET_STYLE, TITLE_STYLE, severity_style},
    table::{Cell, Table},
    text::plain,
};
use crate::observe::insight::{
    BackendStatus, PoolStatus,
    numbers::{many, percent},
};

/// Number of pools that a key chooses.
const KEYS: usize = 9;

/// Writes a line for each pool, after the digit that opens it. Where there is no room for all, those that are well are left
/// out first.
pub(super) fn list(pools: &[PoolStatus], room: Room) -> Vec<String> {
    // One line is the head; where not all have room, another says how many are left out.
    let rows = match room.height {
        Some(height) if pools.len() + 1 > height => height.saturating_sub(2),
        _ => pools.len(),
    };
    let mut order: Vec<_> = (0..pools.len()).collect();
    order.sort_by_key(|index| Reverse(pools[*index].severity));
    order.truncate(rows);
    order.sort_unstable();
    let (left, right) =
        (|text: &str| Cell::left(text).style(QUIET_STYLE), |text: &str| Cell::right(text).style(QUIET_STYLE));
    let head = vec![
        left(""),
        left("POOL"),
        left("STATE"),
        right("READY"),
        right("CONNECTIONS"),
        right("OPENED/S"),
        right("IMBALANCE"),
        left("WHY"),
    ];
    let mut table = Table::with_head(head);
    for index in order {
        table.push(row(index, &pools[index]));
    }
    let mut lines: Vec<_> = table.lines(room.width).collect();
    if rows < pools.len() {
        let more = many((pools.len() - rows) as u64, "more pool");
        lines.push(format!("  {QUIET_STYLE}and {more}: n opens one after the other, / finds one{QUIET_STYLE:#}"));
    }
    lines
}

fn row(index: usize, pool: &PoolStatus) -> Vec<Cell> {
    let dash = || "–".to_owned();
    let key = if index < KEYS { (index + 1).to_string() } else { String::new() };
    let counts = pool.backends.iter().filter_map(BackendStatus::connections).map(u64::from);
    let connections = counts.reduce(u64::saturating_add).map_or_else(dash, |sum| sum.to_string());
    vec![
        Cell::left(key).style(QUIET_STYLE),
        Cell::left(plain(&pool.name)).style(TITLE_STYLE),
        Cell::left(pool.level.to_string()).style(severity_style(pool.severity)),
        Cell::right(format!("{}/{}", pool.count.ready, pool.omitted + pool.backends.len())),
        Cell::right(connections),
        Cell::right(pool.rates.map_or_else(dash, |rates| format!("{:.1}", rates.opened_per_second))),
        Cell::right(pool.imbalance.ratio.map_or_else(dash, percent)),
        Cell::left(plain(&pool.degraded.join("; "))).style(QUIET_STYLE),
    ]
}
