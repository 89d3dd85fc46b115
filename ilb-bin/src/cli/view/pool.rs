//! The section of a pool: its state, and a table of its backends.

use std::fmt::Write as _;

use anstyle::Style;

use super::{
    bars::{bar, curve},
    lines::{fact, summary},
    room::Room,
    style::{BAD_STYLE, GOOD_STYLE, QUIET_STYLE, TITLE_STYLE, WARN_STYLE, severity_style},
    table::{Cell, Table},
    text::{plain, shortened},
};
use crate::observe::insight::{
    BackendState, BackendStatus, ComplaintStatus, PoolStatus, Severity, StatusSummary,
    numbers::{many, percent, span},
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
    let lines = whole_section(pool, false, room);
    match room.height {
        // Where there is no room for all, what is well gives way to the backends.
        Some(height) if whole_section(pool, false, Room { height: None, ..room }).len() > height => {
            let mut lines = whole_section(pool, true, room);
            lines.truncate(height);
            lines
        }
        _ => lines,
    }
}

/// Writes the state of a pool: everything, or without what is well and unremarkable.
fn whole_section(pool: &PoolStatus, only_exceptions: bool, room: Room) -> Vec<String> {
    let width = room.width;
    let mut lines = vec![title(pool, width)];
    let is_shown = |state: &StatusSummary| !only_exceptions || state.severity != Severity::Ok;
    if !pool.degraded.is_empty() {
        lines.push(fact("Degraded", severity_style(pool.severity), &pool.degraded.join("; "), "", width));
    }
    let source = pool.source.as_ref().filter(|_| !only_exceptions);
    lines.extend(source.map(|source| fact("Source", Style::new(), &source.text, "", width)));
    lines.extend(complaints(pool, width));
    let shown = |name: &str, state: Option<&StatusSummary>| {
        state.filter(|state| is_shown(state)).map(|state| summary(name, state, width))
    };
    lines.extend(shown("API server", Some(&pool.discovery.summary)));
    if let Some(problem) = &pool.discovery.problem {
        lines.push(fact("", QUIET_STYLE, &problem.text, "", width));
    }
    lines.extend(shown("Balancing", Some(&pool.balancing)));
    lines.extend(imbalance(pool, width).filter(|_| !only_exceptions));
    lines.extend(shown("Closing", pool.closing.as_ref().map(|closing| &closing.summary)));
    lines.extend(shown("Limit", pool.limit.as_ref().map(|limit| &limit.summary)));
    lines.extend(shown("Zones", pool.zones.as_ref().map(|zones| &zones.summary)));
    lines.extend(shown("Sharing", pool.sharing.as_ref().map(|sharing| &sharing.summary)));
    let height = room.height.map(|height| height.saturating_sub(lines.len()));
    lines.extend(backends(pool, Columns::Live, Room { height, ..room }));
    lines
}

/// Writes the plan of a pool.
pub(super) fn plan(pool: &PoolStatus, room: Room) -> Vec<String> {
    let mut lines = vec![title(pool, room.width)];
    lines.extend(pool.source.as_ref().map(|source| fact("Source", Style::new(), &source.text, "", room.width)));
    lines.extend(complaints(pool, room.width));
    lines.push(summary("Balancing", &pool.balancing, room.width));
    lines.extend(imbalance(pool, room.width));
    lines.extend(pool.closing.as_ref().map(|closing| summary("Closing", &closing.summary, room.width)));
    lines.extend(pool.limit.as_ref().map(|limit| summary("Limit", &limit.summary, room.width)));
    lines.extend(pool.zones.as_ref().map(|zones| summary("Zones", &zones.summary, room.width)));
    lines.extend(pool.sharing.as_ref().map(|sharing| summary("Sharing", &sharing.summary, room.width)));
    lines.extend(backends(pool, Columns::Plan, room));
    lines
}

fn title(pool: &PoolStatus, width: usize) -> String {
    let title = plain(&format!("Pool {}", pool.name));
    let about = plain(&format!(", entry point {}: {}", pool.entry_point, pool.text));
    let about = shortened(&about, width.saturating_sub(title.chars().count()));
    format!("{TITLE_STYLE}{title}{TITLE_STYLE:#}{about}")
}

/// Writes which objects have a mistake, and which of them are left out because of it.
fn complaints(pool: &PoolStatus, width: usize) -> Vec<String> {
    let complaints = &pool.complaints;
    let line = |(at, complaint): (usize, &ComplaintStatus)| {
        let name = if at == 0 { "Complaints" } else { "" };
        let text = format!("{}: {}", complaint.object, complaint.text);
        let detail = if complaint.left_out { "left out" } else { "" };
        fact(name, WARN_STYLE, &text, detail, width)
    };
    let mut lines: Vec<_> = complaints.listed.iter().enumerate().map(line).collect();
    let more = complaints.count.saturating_sub(complaints.listed.len());
    lines.extend((more > 0).then(|| fact("", QUIET_STYLE, &format!("and {more} more"), "", width)));
    lines
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
    // One line is the head of the table; where not all have room, another says how many backends are left out.
    let rows = match room.height {
        Some(height) if list.len() + 1 > height || pool.omitted > 0 => height.saturating_sub(2),
        _ => usize::MAX,
    };
    let omitted = pool.omitted + BackendStatus::leave_out(&mut list, rows);
    let most = list.iter().filter_map(BackendStatus::connections).max().unwrap_or(0);
    let pods = list.iter().any(|backend| backend.pod.is_some());
    let names = |b: &BackendStatus| b.address.to_string().len() + b.pod.as_ref().map_or(0, |pod| pod.len() + 2);
    let texts = list.iter().map(|b| names(b) + b.why.chars().count()).max().unwrap_or(0);
    // A bar takes the room that the other columns leave, within limits that look well.
    let bar_width = room.width.saturating_sub(texts + 53).clamp(8, 30);
    let mut table = Table::with_head(columns.head(pods));
    for backend in &list {
        table.push(columns.row(backend, pods, f64::from(most), bar_width));
    }
    let mut lines: Vec<_> = table.lines(room.width).collect();
    if omitted > 0 {
        let more = many(omitted as u64, "more backend");
        lines.push(format!("  {QUIET_STYLE}and {more}: `ilb status -o json` shows all{QUIET_STYLE:#}"));
    }
    lines
}

impl Columns {
    /// Returns the head; `pods` is whether there is a column for the names of pods.
    fn head(self, pods: bool) -> Vec<Cell> {
        let (left, right) =
            (|text: &str| Cell::left(text).style(QUIET_STYLE), |text: &str| Cell::right(text).style(QUIET_STYLE));
        let mut head = vec![left("BACKEND")];
        head.extend(pods.then(|| left("POD")));
        head.push(left("STATE"));
        head.extend(match self {
            Self::Live => vec![right("FOR"), right("CONNECTIONS"), left("")],
            Self::Plan => vec![right("CONNECTIONS"), right("CAPACITY"), right("WEIGHT")],
        });
        head.extend([right("HEAD START"), left("WHY")]);
        head
    }

    fn row(self, backend: &BackendStatus, pods: bool, most: f64, bar_width: usize) -> Vec<Cell> {
        let style = match backend.state {
            BackendState::Ready => GOOD_STYLE,
            BackendState::Suspect | BackendState::Failing => BAD_STYLE,
            BackendState::Draining | BackendState::NotReady | BackendState::Unknown => WARN_STYLE,
        };
        let state = Cell::left(backend.state.to_string()).style(style);
        let count = backend.connections();
        let all = backend.total.map_or_else(String::new, |total| format!(" of {total}"));
        let counted = Cell::right(match backend.opening {
            Some(opening @ 1..) => {
                let open = count.map_or(0, |count| count.saturating_sub(opening));
                format!("{open} + {opening} opening{all}")
            }
            _ => count.map_or("–".to_owned(), |count| format!("{count}{all}")),
        });
        let head_start = Cell::right(match backend.head_start {
            Some(0) => "0".to_owned(),
            Some(ahead) => format!("+{ahead}"),
            None => "–".to_owned(),
        });
        let restarts = backend.restarts.filter(|restarts| *restarts > 0);
        let restarts = restarts.map(|restarts| format!("{}; ", many(restarts.into(), "restart"))).unwrap_or_default();
        let why = Cell::left(restarts + &plain(&backend.why)).style(QUIET_STYLE);
        let address = backend.address.to_string();
        let shares = match (self, backend.capacity) {
            (Self::Live, 2..) => format!(" ×{}", backend.capacity),
            _ => String::new(),
        };
        let mut row = vec![Cell::left(address + &shares)];
        row.extend(pods.then(|| Cell::left(backend.pod.as_deref().map(plain).unwrap_or_default())));
        row.push(state);
        row.extend(match self {
            Self::Live => {
                let since = backend.state_seconds.map(span).unwrap_or_default();
                let bar = Cell::left(bar(count.map_or(0.0, f64::from), most, bar_width)).style(style);
                vec![Cell::right(since).style(QUIET_STYLE), counted, bar]
            }
            Self::Plan => {
                let weights = backend.weights.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
                let weight = Cell::right(if weights.is_empty() { "–".to_owned() } else { weights });
                vec![counted, Cell::right(backend.capacity.to_string()), weight]
            }
        });
        row.extend([head_start, why]);
        row
    }
}
