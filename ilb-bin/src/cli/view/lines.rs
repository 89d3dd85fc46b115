//! Lines with a name and a value.

use anstyle::Style;

use super::{
    style::{QUIET_STYLE, severity_style},
    text::{plain, shortened},
};
use crate::observe::insight::StatusSummary;

/// Writes a line with a name and a state in words.
pub(super) fn summary(name: &str, summary: &StatusSummary, width: usize) -> String {
    fact(name, severity_style(summary.severity), &summary.text, &summary.detail, width)
}

/// Writes a line with a name, a value and details.
pub(super) fn fact(name: &str, style: Style, value: &str, detail: &str, width: usize) -> String {
    const NAME_WIDTH: usize = 12;
    let value = shortened(&plain(value), width.saturating_sub(NAME_WIDTH));
    let room = width.saturating_sub(NAME_WIDTH + value.chars().count() + 2);
    let detail = if detail.is_empty() || room < 4 { String::new() } else { shortened(&plain(detail), room) };
    let detail = if detail.is_empty() { detail } else { format!(", {QUIET_STYLE}{detail}{QUIET_STYLE:#}") };
    format!("{name:NAME_WIDTH$}{style}{value}{style:#}{detail}")
}
