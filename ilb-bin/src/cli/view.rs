//! The status and the plan as text for a terminal. Sentences come from the status document, as on the status page.

mod bars;
mod lines;
mod pool;
mod room;
mod style;
mod table;
mod text;

use std::fmt::Write as _;

use anstyle::Style;

pub(super) use self::room::Room;
use self::{
    lines::{fact, summary},
    style::{BAD_STYLE, QUIET_STYLE, WARN_STYLE, severity_style},
    text::{cut, plain, shortened},
};
use crate::observe::insight::{
    PoolStatus, Status, TraefikStatus,
    numbers::{ago, millis, percent},
};

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
    format!("{}\n\n{QUIET_STYLE}Nothing was pushed.{QUIET_STYLE:#}\n", sections.join("\n\n"))
}

/// Writes the status for a screen, with a problem of the connection at the top and the key to quit at the bottom.
pub(super) fn screen(latest: Option<&Status>, problem: Option<&str>, url: &str, room: Room) -> String {
    let mut text = String::new();
    if let Some(problem) = problem {
        let problem = shortened(&plain(problem), room.width);
        let _ = writeln!(text, "{BAD_STYLE}{problem}{BAD_STYLE:#}");
        if latest.is_some() {
            let _ = writeln!(text, "{WARN_STYLE}This is the last known status; trying again.{WARN_STYLE:#}");
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
    format!("{}\n\n{QUIET_STYLE}{foot}{QUIET_STYLE:#}", lines.join("\n"))
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
    let style = severity_style(status.summary.severity).bold();
    let first = format!("{style}{text}{style:#}{between}{QUIET_STYLE}{about}{QUIET_STYLE:#}");
    let mut lines: Vec<_> = first.lines().map(str::to_owned).collect();
    lines.push(summary("Traefik", &status.traefik.summary, width));
    if let Some(problem) = &status.traefik.problem {
        lines.push(fact("", QUIET_STYLE, &problem.text, "", width));
    }
    for instance in &status.traefik.instances {
        let text = format!("{}: {}", instance.instance, instance.summary.text);
        lines.push(fact("", severity_style(instance.summary.severity), &text, &instance.summary.detail, width));
    }
    lines.extend(status.closer.as_ref().map(|closer| summary("Closer", &closer.summary, width)));
    lines.extend(status.siblings.as_ref().map(|siblings| summary("Siblings", &siblings.summary, width)));
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

#[cfg(test)]
mod tests;
