//! The table of replicas.

use super::{
    room::Room,
    style::{QUIET_STYLE, severity_style},
    table::{Cell, Table},
    text::plain,
};
use crate::cli::together::{ReplicaRow, shares};

/// Part of the screen that the replicas take at most, as its divisor; the pools get the rest.
const MAX_PART: usize = 3;

/// Writes a line for each replica. Where there is no room for all, those that are well are left out first.
pub(super) fn table(replicas: &[ReplicaRow], room: Room) -> Vec<String> {
    let rows = room.height.map_or(usize::MAX, |height| (height / MAX_PART).saturating_sub(2).max(1));
    let mut order: Vec<_> = (0..replicas.len()).collect();
    order.sort_by_key(|index| std::cmp::Reverse(replicas[*index].severity));
    order.truncate(rows);
    let shares = shares(replicas);
    let (left, right) =
        (|text: &str| Cell::left(text).style(QUIET_STYLE), |text: &str| Cell::right(text).style(QUIET_STYLE));
    let head = [left("REPLICA"), left("STATE"), right("CONNECTIONS"), right("OPENED/S"), right("SHARE"), left("NOTE")];
    let mut table = Table::with_head(head.into());
    let shown = replicas.iter().zip(&shares).enumerate().filter(|(index, _)| order.contains(index));
    for (_, (replica, share)) in shown {
        let dash = || "–".to_owned();
        table.push(vec![
            Cell::left(plain(&replica.pod)),
            Cell::left(plain(&replica.state)).style(severity_style(replica.severity)),
            Cell::right(replica.connections.map_or_else(dash, |count| count.to_string())),
            Cell::right(replica.opened_per_second.map_or_else(dash, |rate| format!("{rate:.1}"))),
            Cell::right(share.clone().unwrap_or_else(dash)),
            Cell::left(plain(&replica.note)).style(QUIET_STYLE),
        ]);
    }
    let mut lines: Vec<_> = table.lines(room.width).collect();
    let omitted = replicas.len() - order.len();
    lines.extend((omitted > 0).then(|| format!("  {QUIET_STYLE}and {omitted} more{QUIET_STYLE:#}")));
    lines
}
