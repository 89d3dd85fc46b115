use std::fmt::Write as _;

use anstyle::Style;

use super::{
    BAD, GOOD, QUIET, Room, TITLE, WARN,
    bars::{bar, curve},
    fact,
    table::{Cell, Table, shortened},
    words::{ago, many, percent, plain, span},
};
use crate::observe::insight::{BackendStatus, PoolStatus, Problem};

/// What to say of each backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Columns {
    /// What moves, with bars.
    Live,
    /// What a plan is made of.
    Plan,
}

/// What is known of a pool.
pub(super) fn section(pool: &PoolStatus, room: Room) -> Vec<String> {
    let width = room.width;
    let mut lines = vec![title(pool, width)];
    lines.extend(discovery(pool, width));
    lines.push(balancing(pool, width));
    lines.extend(imbalance(pool, width));
    let height = room.height.map(|height| height.saturating_sub(lines.len()));
    lines.extend(backends(&pool.backends, pool.omitted, Columns::Live, Room { height, ..room }));
    lines
}

/// What would be pushed for a pool.
pub(super) fn plan(pool: &PoolStatus, room: Room) -> Vec<String> {
    let mut lines = vec![title(pool, room.width), balancing(pool, room.width)];
    lines.extend(imbalance(pool, room.width));
    lines.extend(backends(&pool.backends, pool.omitted, Columns::Plan, room));
    lines
}

fn title(pool: &PoolStatus, width: usize) -> String {
    let title = plain(&format!("Pool {}", pool.name));
    let about = plain(&format!(", entry point {}: {}", pool.entry_point, counts(pool)));
    let about = shortened(&about, width.saturating_sub(title.chars().count()));
    format!("{TITLE}{title}{TITLE:#}{about}")
}

/// How many backends there are in which states, and their connections as far as they are known.
pub(super) fn counts(pool: &PoolStatus) -> String {
    let count = &pool.count;
    let states = [
        (count.ready, "ready"),
        (count.suspect, "suspect"),
        (count.draining, "draining"),
        (count.not_ready, "not ready"),
    ];
    let there = states.iter().filter(|(count, state)| *count > 0 || *state == "ready");
    let mut text = there.map(|(count, state)| format!("{count} {state}")).collect::<Vec<_>>().join(", ");
    if pool.counting.state == "counting" && pool.omitted == 0 {
        let connections = pool.backends.iter().filter_map(connections).map(u64::from).sum();
        let _ = write!(text, ", {}", many(connections, "connection"));
    }
    text
}

fn discovery(pool: &PoolStatus, width: usize) -> Vec<String> {
    let name = "API server";
    match (&pool.discovery.problem, &*pool.discovery.state) {
        (Some(Problem { kind, text, for_seconds, .. }), _) => {
            let more = if pool.backends.is_empty() { "" } else { "the backends seen last stay in use" };
            let value = format!("Not followed for {}: {kind}", span(*for_seconds));
            vec![fact(name, WARN, &value, more, width), fact("", QUIET, text, "", width)]
        }
        (None, "starting") => {
            vec![fact(name, WARN, "Not known yet", "waiting for the first complete set of backends", width)]
        }
        (None, _) => {
            let heard = pool.discovery.contact_age_seconds.map(|age| format!("heard of {}", ago(age)));
            vec![fact(name, GOOD, "Backends up to date", &heard.unwrap_or_default(), width)]
        }
    }
}

fn balancing(pool: &PoolStatus, width: usize) -> String {
    let name = "Balancing";
    let counting = &pool.counting;
    match (&*pool.method, &*counting.state) {
        ("leastconn", "impossible") => {
            fact(name, WARN, "Round robin", counting.problem.as_deref().unwrap_or_default(), width)
        }
        ("leastconn", "counting") => {
            let counted = counting.age_seconds.map(|age| format!("counted {}", ago(age)));
            fact(name, GOOD, "Least connections", &counted.unwrap_or_default(), width)
        }
        ("leastconn", _) => fact(name, WARN, "Least connections", "nothing has been counted yet", width),
        _ => fact(name, GOOD, "Round robin", "as it is set", width),
    }
}

/// How unequal the loads are, now and over the last minutes.
fn imbalance(pool: &PoolStatus, width: usize) -> Option<String> {
    let imbalance = &pool.imbalance;
    let ratio = imbalance.ratio?;
    let more = imbalance.connections.map(|more| format!("the fullest has {more:.1} connections more than the mean"));
    let mut line = fact("Imbalance", Style::new(), &percent(ratio), &more.unwrap_or_default(), width);
    let used = anstream::adapter::strip_str(&line).to_string().chars().count();
    // As on the status page: a curve whose top is 5 % at least.
    let curve = curve(&imbalance.history, 0.05, width.saturating_sub(used + 2).min(40));
    if curve.chars().count() > 2 {
        let _ = write!(line, "  {QUIET}{curve}{QUIET:#}");
    }
    Some(line)
}

/// A table of the backends; those that tell least are left out if there is no room for all.
fn backends(list: &[BackendStatus], omitted: usize, columns: Columns, room: Room) -> Vec<String> {
    if list.is_empty() {
        return vec!["  There is no backend: new connections are closed at once until there is one.".to_owned()];
    }
    let mut list = list.to_vec();
    // The head, and the line that says how many there are more.
    let rows = room.height.map_or(usize::MAX, |height| height.saturating_sub(2));
    let omitted = omitted + BackendStatus::leave_out(&mut list, rows);
    let most = list.iter().filter_map(connections).max().unwrap_or(0);
    let texts = list.iter().map(|b| b.address.to_string().len() + b.why.chars().count()).max().unwrap_or(0);
    // What the columns beside them leave, within what looks well.
    let bar_width = room.width.saturating_sub(texts + 45).clamp(8, 30);
    let mut table = Table::with_head(columns.head());
    for backend in &list {
        table.push(columns.row(backend, f64::from(most), bar_width));
    }
    let mut lines: Vec<_> = table.lines(room.width).collect();
    if omitted > 0 {
        let more = many(omitted as u64, "more backend");
        lines.push(format!("  {QUIET}and {more}: `-o json` of `ilb status` has all{QUIET:#}"));
    }
    lines
}

impl Columns {
    fn head(self) -> Vec<Cell> {
        let (left, right) = (|text: &str| Cell::left(text).style(QUIET), |text: &str| Cell::right(text).style(QUIET));
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
        let style = match &*backend.state {
            "ready" => GOOD,
            "suspect" => BAD,
            _ => WARN,
        };
        let state = Cell::left(plain(&backend.state)).style(style);
        let count = connections(backend);
        let counted = Cell::right(match backend.opening {
            Some(opening @ 1..) => format!("{} + {opening} opening", backend.established.unwrap_or(0)),
            _ => count.map_or("–".to_owned(), |count| count.to_string()),
        });
        let head_start = Cell::right(match backend.head_start {
            Some(0) => "0".to_owned(),
            Some(ahead) => format!("+{ahead}"),
            None => "–".to_owned(),
        });
        let why = Cell::left(plain(&backend.why)).style(QUIET);
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

/// Established and opening connections; `None` where nobody counts.
fn connections(backend: &BackendStatus) -> Option<u32> {
    Some(backend.established?.saturating_add(backend.opening.unwrap_or(0)))
}
