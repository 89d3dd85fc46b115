//! What is known, for a terminal, in the words of the status page.

mod bars;
mod pool;
mod table;
pub(super) mod words;

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};

use self::pool::counts;
use self::words::{ago, many, millis, percent, plain, span};
use crate::observe::insight::{PoolStatus, Status, TraefikStatus};

/// How much there is room for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Characters in a line.
    pub(super) width: usize,
    /// Lines; `None` for as many as it takes.
    pub(super) height: Option<usize>,
}

const TITLE: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const WARN: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Everything, a section for each pool.
pub(super) fn status(status: &Status, room: Room) -> String {
    let mut lines = head(status, room);
    let pools = status.pools.len();
    // Each pool has the same part of the lines that are left.
    let of_pool = room.height.map(|height| height.saturating_sub(lines.len()) / pools.max(1));
    for pool in &status.pools {
        lines.push(String::new());
        lines.extend(pool::section(pool, Room { height: of_pool.map(|lines| lines.saturating_sub(1)), ..room }));
    }
    lines.join("\n") + "\n"
}

/// What would be pushed for each pool.
pub(super) fn plan(pools: &[PoolStatus], room: Room) -> String {
    let sections: Vec<_> = pools.iter().map(|pool| pool::plan(pool, room).join("\n")).collect();
    format!("{}\n\n{QUIET}Nothing was pushed.{QUIET:#}\n", sections.join("\n\n"))
}

/// The status for a screen: with what is wrong with the view of it at the top, and how to leave at the bottom.
pub(super) fn screen(latest: Option<&Status>, problem: Option<&str>, url: &str, room: Room) -> String {
    let mut text = String::new();
    if let Some(problem) = problem {
        let problem = table::shortened(&plain(problem), room.width);
        let _ = writeln!(text, "{BAD}{problem}{BAD:#}");
        if latest.is_some() {
            let _ = writeln!(text, "{WARN}This is what was seen last; trying again.{WARN:#}");
        }
    }
    let height = room.height.map(|height| height.saturating_sub(text.lines().count() + 2));
    if let Some(latest) = latest {
        text += &status(latest, Room { height, ..room });
    }
    // The foot and the line above it always have their place, however small the terminal is.
    let lines = text.lines().take(room.height.map_or(usize::MAX, |height| height.saturating_sub(2)));
    let lines: Vec<_> = lines.map(|line| table::cut(line, room.width)).collect();
    let foot = table::shortened(&plain(&format!("{url}   q ends it")), room.width);
    format!("{}\n\n{QUIET}{foot}{QUIET:#}", lines.join("\n"))
}

/// One line for a log.
pub(super) fn line(status: &Status) -> String {
    let mut line =
        if status.ready { "ready".to_owned() } else { format!("not ready: {}", status.not_ready.join("; ")) };
    for pool in &status.pools {
        let _ = write!(line, " | pool {}: {}", pool.name, counts(pool));
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
    let (style, text) = if status.ready {
        (GOOD.bold(), "ready: every pool is in force".to_owned())
    } else {
        (BAD, format!("not ready: {}", status.not_ready.join("; ")))
    };
    let about = format!("ilb {}, up for {}", status.version, span(status.uptime_seconds));
    // Beside each other if there is room.
    let between = match width.checked_sub(text.chars().count() + about.chars().count()) {
        Some(free @ 2..) => " ".repeat(free),
        _ => "\n".to_owned(),
    };
    let (text, about) = (plain(&text), plain(&about));
    // On a screen each line has its place; elsewhere the reasons are told in full.
    let text = if room.height.is_some() { table::shortened(&text, width) } else { text };
    let first = format!("{style}{text}{style:#}{between}{QUIET}{about}{QUIET:#}");
    let mut lines: Vec<_> = first.lines().map(str::to_owned).collect();
    lines.extend(traefik(&status.traefik, width));
    if let Some(push) = last_push(&status.traefik) {
        lines.push(fact("Last push", Style::new(), &push, "", width));
    }
    lines
}

fn traefik(traefik: &TraefikStatus, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let version = traefik.version.as_ref().map(|version| format!("version {version}, ")).unwrap_or_default();
    let restarts = match traefik.restarts_seen {
        0 => String::new(),
        seen => format!("{} seen, ", many(seen, "restart")),
    };
    match (&traefik.problem, traefik.in_force_seconds) {
        (Some(problem), _) => {
            let tried = format!("for {}, {}", span(problem.for_seconds), many(problem.attempts, "attempt"));
            let value = format!("Not in force: {}", problem.kind);
            lines.push(fact("Traefik", BAD, &value, &tried, width));
            lines.push(fact("", QUIET, &problem.text, "", width));
        }
        (None, None) => lines.push(fact("Traefik", WARN, "Not configured yet", "waiting for the first push", width)),
        (None, Some(seconds)) => {
            let proved = traefik.proof_age_seconds.map(|age| format!("proved {}", ago(age))).unwrap_or_default();
            let value = format!("In force for {}", span(seconds));
            lines.push(fact("Traefik", GOOD, &value, &format!("{version}{restarts}{proved}"), width));
        }
    }
    lines
}

fn last_push(traefik: &TraefikStatus) -> Option<String> {
    let push = traefik.pushes.first()?;
    let (reason, result, when) = (&push.reason, &push.result, ago(push.age_seconds));
    let entries = match push.entries {
        1 => "1 entry".to_owned(),
        entries => format!("{entries} entries"),
    };
    Some(format!("{when}, for {reason}: {result} after {}, {entries}", millis(push.took_seconds)))
}

/// A line with a name, a value and more about it.
fn fact(name: &str, style: Style, value: &str, more: &str, width: usize) -> String {
    const NAMES: usize = 12;
    let value = table::shortened(&plain(value), width.saturating_sub(NAMES));
    let room = width.saturating_sub(NAMES + value.chars().count() + 2);
    let more = if more.is_empty() || room < 4 { String::new() } else { table::shortened(&plain(more), room) };
    let more = if more.is_empty() { more } else { format!(", {QUIET}{more}{QUIET:#}") };
    format!("{name:NAMES$}{style}{value}{style:#}{more}")
}

#[cfg(test)]
mod tests;
