//! The status and the plan as text for a terminal. Sentences come from the status document, as on the status page.

mod bars;
mod connections;
mod lines;
mod pool;
mod pools;
mod replicas;
mod room;
mod style;
mod table;
mod text;

use std::fmt::Write as _;

use anstyle::Style;

pub(super) use self::{
    connections::{connections, connections_of},
    room::Room,
    style::{BAD_STYLE, GOOD_STYLE, QUIET_STYLE, WARN_STYLE},
};
use self::{
    lines::{fact, summary},
    style::severity_style,
    text::{cut, plain, shortened},
};
use super::together::{Answer, Overview, ReplicaRow};
use crate::observe::insight::{
    PoolStatus, SiblingsStatus, Status, TraefikStatus,
    numbers::{ago, millis, percent},
};

/// Writes the whole status, with a section for each pool.
pub(super) fn status(overview: &Overview, room: Room) -> String {
    let Overview { status, replicas } = overview;
    let mut lines = head(status, room);
    lines.extend(match replicas.as_slice() {
        [] => parts(status, room.width),
        replicas => replicas::table(replicas, room),
    });
    let heights = room.height.map(|height| {
        let full = Room { height: None, ..room };
        let needs: Vec<_> = status.pools.iter().map(|pool| pool::section(pool, full).len() + 1).collect();
        let heights = divided(height.saturating_sub(lines.len()), &needs);
        let has_room = heights.iter().zip(&needs).all(|(height, needs)| *height >= MIN_SECTION_LINES.min(*needs));
        (has_room || status.pools.len() < 2).then_some(heights)
    });
    if heights == Some(None) {
        let height = room.height.map(|height| height.saturating_sub(lines.len() + 1));
        lines.push(String::new());
        lines.extend(pools::list(&status.pools, Room { height, ..room }));
        return lines.join("\n") + "\n";
    }
    let heights = heights.flatten();
    for (index, pool) in status.pools.iter().enumerate() {
        let height = heights.as_ref().map(|heights| heights[index]);
        // An empty line between pools is left out where each has few lines.
        let has_gap = height.is_none_or(|height| height > 3);
        lines.extend(has_gap.then(String::new));
        let height = height.map(|height| height - usize::from(has_gap));
        lines.extend(pool::section(pool, Room { height, ..room }));
    }
    lines.extend(runbooks(status, room));
    lines.join("\n") + "\n"
}

/// Minimum number of lines of a pool: its title, the head of the table, a backend, and how many more there are. With less,
/// there is a line for each pool instead.
const MIN_SECTION_LINES: usize = 4;

/// Writes where to read what to do about what is wrong, each page once. A screen has no room for it.
fn runbooks(status: &Status, room: Room) -> Vec<String> {
    let mut pages: Vec<_> = status.reasons.iter().map(|reason| plain(&reason.runbook)).collect();
    pages.sort_unstable();
    pages.dedup();
    if pages.is_empty() || room.height.is_some() {
        return Vec::new();
    }
    let name = |at: usize| if at == 0 { "Runbooks" } else { "" };
    let pages = pages.iter().enumerate().map(|(at, page)| fact(name(at), QUIET_STYLE, page, "", usize::MAX));
    std::iter::once(String::new()).chain(pages).collect()
}

/// Writes that no replica of `what` answers, and why.
pub(super) fn silence(what: &str, answers: &[Answer], room: Room) -> String {
    let rows: Vec<_> = answers.iter().map(ReplicaRow::from).collect();
    let first = format!("{BAD_STYLE}no replica of {} answers{BAD_STYLE:#}", plain(what));
    let lines: Vec<_> = std::iter::once(first).chain(replicas::table(&rows, room)).collect();
    lines.join("\n") + "\n"
}

/// Divides lines between pools: each gets what it needs or an equal share, and what one does not need, the others get.
fn divided(lines: usize, needs: &[usize]) -> Vec<usize> {
    let mut order: Vec<_> = (0..needs.len()).collect();
    order.sort_by_key(|index| needs[*index]);
    let (mut shares, mut left) = (vec![0; needs.len()], lines);
    for (at, index) in order.iter().enumerate() {
        shares[*index] = needs[*index].min(left / (needs.len() - at));
        left -= shares[*index];
    }
    shares
}

/// Writes a list of keys and what they do.
pub(super) fn help(keys: &[(&str, &str)], room: Room) -> String {
    let lines = keys.iter().map(|(key, does)| cut(&format!("  {key:20}{does}"), room.width));
    let lines: Vec<_> = lines.take(room.height.unwrap_or(usize::MAX)).collect();
    lines.join("\n")
}

/// Writes the plan of each pool.
pub(super) fn plan(pools: &[PoolStatus], siblings: Option<&SiblingsStatus>, room: Room) -> String {
    let siblings = siblings.map(|siblings| summary("Siblings", &siblings.summary, room.width));
    let pools = pools.iter().map(|pool| pool::plan(pool, room).join("\n"));
    let sections: Vec<_> = siblings.into_iter().chain(pools).collect();
    format!("{}\n\n{QUIET_STYLE}Nothing was pushed.{QUIET_STYLE:#}\n", sections.join("\n\n"))
}

/// Writes the status for a screen, with a problem of the connection at the top and `foot` at the bottom. Unscrolled, it is a
/// summary that fits; scrolled, the whole status from that line on, which is moved back to the last one that fills the
/// screen.
pub(super) fn screen(
    latest: Option<&Overview>,
    problem: Option<&str>,
    foot: &str,
    scrolled: &mut usize,
    room: Room,
) -> String {
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
        let whole = (*scrolled > 0).then(|| status(latest, Room { height: None, ..room }));
        let count = whole.as_ref().map_or(0, |whole| whole.lines().count());
        *scrolled = (*scrolled).min(count.saturating_sub(height.unwrap_or(0)));
        match whole.filter(|_| *scrolled > 0) {
            Some(whole) => text += &(whole.lines().skip(*scrolled).collect::<Vec<_>>().join("\n") + "\n"),
            None => text += &status(latest, Room { height, ..room }),
        }
    }
    // The foot and the empty line above it are always shown, however small the terminal is.
    let lines = text.lines().take(room.height.map_or(usize::MAX, |height| height.saturating_sub(2)));
    let lines: Vec<_> = lines.map(|line| cut(line, room.width)).collect();
    let foot = shortened(&plain(foot), room.width);
    format!("{}\n\n{QUIET_STYLE}{foot}{QUIET_STYLE:#}", lines.join("\n"))
}

/// Writes the status as one line, for a log.
pub(super) fn line(overview: &Overview) -> String {
    let status = &overview.status;
    let mut line = status.summary.text.clone();
    for pool in &status.pools {
        let _ = write!(line, " | pool {}: {}", pool.name, pool.text);
        if let Some(ratio) = pool.imbalance.ratio {
            let _ = write!(line, ", imbalance {}", percent(ratio));
        }
    }
    if let Some(push) = last_push(&status.traefik).filter(|_| overview.replicas.is_empty()) {
        let _ = write!(line, " | last push {push}");
    }
    plain(&line)
}

/// Writes the state as a whole, in one or two lines.
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
    first.lines().map(str::to_owned).collect()
}

/// Writes the states of the parts of one ilb.
fn parts(status: &Status, width: usize) -> Vec<String> {
    let mut lines = vec![summary("Traefik", &status.traefik.summary, width)];
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
