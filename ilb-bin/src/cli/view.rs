//! The status and the plan as text for a terminal. Sentences come from the status document, as on the status page.

mod bars;
mod pool;
mod table;
mod text;

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use self::text::{cut, plain, shortened};
use crate::observe::insight::{
    PoolStatus, Severity, Status, StatusSummary, TraefikStatus,
    numbers::{ago, millis, percent},
};

/// Space for a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Characters per line.
    pub(super) width: usize,
    /// Number of lines; `None` for as many as needed.
    pub(super) height: Option<usize>,
}

const TITLE: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const WARN: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Writes the whole status, with a section for each pool.
pub(super) fn status(status: &Status, room: Room) -> String {
    let mut lines = head(status, room);
    let pools = status.pools.len();
    // The lines that are left are divided equally between the pools.
    let lines_per_pool = room.height.map(|height| height.saturating_sub(lines.len()) / pools.max(1));
    for pool in &status.pools {
        lines.push(String::new());
        let height = lines_per_pool.map(|lines| lines.saturating_sub(1));
        lines.extend(pool::section(pool, Room { height, ..room }));
    }
    lines.join("\n") + "\n"
}

/// Writes the plan of each pool.
pub(super) fn plan(pools: &[PoolStatus], room: Room) -> String {
    let sections: Vec<_> = pools.iter().map(|pool| pool::plan(pool, room).join("\n")).collect();
    format!("{}\n\n{QUIET}Nothing was pushed.{QUIET:#}\n", sections.join("\n\n"))
}

/// Writes the status for a screen, with a problem of the connection at the top and the key to quit at the bottom.
pub(super) fn screen(latest: Option<&Status>, problem: Option<&str>, url: &str, room: Room) -> String {
    let mut text = String::new();
    if let Some(problem) = problem {
        let problem = shortened(&plain(problem), room.width);
        let _ = writeln!(text, "{BAD}{problem}{BAD:#}");
        if latest.is_some() {
            let _ = writeln!(text, "{WARN}This is the last known status; trying again.{WARN:#}");
        }
    }
    let height = room.height.map(|height| height.saturating_sub(text.lines().count() + 2));
    if let Some(latest) = latest {
        text += &status(latest, Room { height, ..room });
    }
    // The foot and the empty line above it are always shown, however small the terminal is.
    let lines = text.lines().take(room.height.map_or(usize::MAX, |height| height.saturating_sub(2)));
    let lines: Vec<_> = lines.map(|line| cut(line, room.width)).collect();
    let foot = shortened(&plain(&format!("{url}   q quits")), room.width);
    format!("{}\n\n{QUIET}{foot}{QUIET:#}", lines.join("\n"))
}

/// Writes the status as one line, for a log.
pub(super) fn line(status: &Status) -> String {
    let mut line = status.summary.text.clone();
    for pool in &status.pools {
        let _ = write!(line, " | pool {}: {}", pool.name, pool.text);
        if let Some(ratio) = pool.imbalance.ratio {
            let _ = write!(line, ", imbalance {}", percent(ratio));
        }
    }
    if let Some(push) = last_push(&status.traefik) {
        let _ = write!(line, " | last push {push}");
    }
    plain(&line)
}

fn head(status: &Status, room: Room) -> Vec<String> {
    let width = room.width;
    let (text, about) = (plain(&status.summary.text), plain(&status.summary.detail));
    // Both are on one line if there is room.
    let between = match width.checked_sub(text.chars().count() + about.chars().count()) {
        Some(free @ 2..) => " ".repeat(free),
        _ => "\n".to_owned(),
    };
    // On a screen the number of lines is limited; elsewhere all reasons are shown in full.
    let text = if room.height.is_some() { shortened(&text, width) } else { text };
    let style = style(status.summary.severity).bold();
    let first = format!("{style}{text}{style:#}{between}{QUIET}{about}{QUIET:#}");
    let mut lines: Vec<_> = first.lines().map(str::to_owned).collect();
    lines.push(summary("Traefik", &status.traefik.summary, width));
    if let Some(problem) = &status.traefik.problem {
        lines.push(fact("", QUIET, &problem.text, "", width));
    }
    if let Some(push) = last_push(&status.traefik) {
        lines.push(fact("Last push", Style::new(), &push, "", width));
    }
    lines
}

fn last_push(traefik: &TraefikStatus) -> Option<String> {
    let push = traefik.pushes.first()?;
    let (reason, result, when) = (push.reason, push.result, ago(push.age_seconds));
    let entries = match push.entries {
        1 => "1 entry".to_owned(),
        entries => format!("{entries} entries"),
    };
    Some(format!("{when}, for {reason}: {result} after {}, {entries}", millis(push.took_seconds)))
}

/// Writes a line with a name and a state in words.
fn summary(name: &str, summary: &StatusSummary, width: usize) -> String {
    fact(name, style(summary.severity), &summary.text, &summary.detail, width)
}

/// Writes a line with a name, a value and details.
fn fact(name: &str, style: Style, value: &str, detail: &str, width: usize) -> String {
    const NAME_WIDTH: usize = 12;
    let value = shortened(&plain(value), width.saturating_sub(NAME_WIDTH));
    let room = width.saturating_sub(NAME_WIDTH + value.chars().count() + 2);
    let detail = if detail.is_empty() || room < 4 { String::new() } else { shortened(&plain(detail), room) };
    let detail = if detail.is_empty() { detail } else { format!(", {QUIET}{detail}{QUIET:#}") };
    format!("{name:NAME_WIDTH$}{style}{value}{style:#}{detail}")
}

fn style(severity: Severity) -> Style {
    match severity {
        Severity::Ok => GOOD,
        Severity::Warning | Severity::Unknown => WARN,
        Severity::Error => BAD,
    }
}

#[cfg(test)]
mod tests;
