//! What a reader of the screen has chosen: pools, order, filter and place.

use std::{cmp::Reverse, ops::ControlFlow};

use super::keys::Key;
use crate::observe::insight::{BackendStatus, PoolStatus, Status};

/// Choice of what the screen shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    /// Name of the only pool that is shown.
    pool: Option<String>,
    order: Order,
    /// Text that a pool or a backend must have in a name, an address or a state.
    filter: String,
    /// True while the filter is being typed.
    is_typing: bool,
    /// Number of lines above the screen.
    pub(super) scrolled: usize,
    pub(super) shows_help: bool,
}

/// Order of the backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Order {
    #[default]
    Address,
    Connections,
    State,
    Name,
}

/// Keys and what they do, as the help lists them.
pub(super) const HELP: &[(&str, &str)] = &[
    ("q", "quit"),
    ("\u{2191} \u{2193}, j k", "scroll by a line"),
    ("PgUp PgDn, space", "scroll by a screen"),
    ("Home End, g G", "to the beginning or the end"),
    ("1 to 9", "open the first, second and so on pool"),
    ("n, p", "open the next or the previous pool"),
    ("a, 0", "all pools"),
    ("s", "another order: address, connections, state, name"),
    ("/", "filter by a text in names, addresses, nodes and states; Enter ends it, an empty one shows all"),
    ("?", "this help"),
];

impl Choice {
    /// Takes in a key. Breaks if it quits. `pools` are the names of those that fit the filter, and `page` is the number of
    /// lines of a screen.
    pub(super) fn press(&mut self, key: Key, pools: &[String], page: usize) -> ControlFlow<()> {
        if self.is_typing {
            match key {
                Key::Char(c) => self.filter.push(c),
                Key::Backspace => {
                    self.filter.pop();
                }
                Key::Enter => self.is_typing = false,
                _ => {}
            }
            self.scrolled = 0;
            return ControlFlow::Continue(());
        }
        let was_help = std::mem::take(&mut self.shows_help);
        match key {
            Key::Char('q' | 'Q') => return ControlFlow::Break(()),
            Key::Char('?') => self.shows_help = !was_help,
            Key::Up | Key::Char('k') => self.scrolled = self.scrolled.saturating_sub(1),
            Key::Down | Key::Char('j') => self.scrolled += 1,
            Key::PageUp => self.scrolled = self.scrolled.saturating_sub(page),
            Key::PageDown | Key::Char(' ') => self.scrolled += page,
            Key::Home | Key::Char('g') => self.scrolled = 0,
            Key::End | Key::Char('G') => self.scrolled = usize::MAX / 2,
            Key::Char('a' | '0') => (self.pool, self.scrolled) = (None, 0),
            Key::Char(key @ ('n' | 'p')) => {
                // All pools are one step before the first and one after the last.
                let at = self.pool.as_ref().and_then(|name| pools.iter().position(|pool| pool == name));
                let next = match (key, at) {
                    ('n', at) => at.map_or(Some(0), |at| at.checked_add(1)),
                    (_, at) => at.unwrap_or(pools.len()).checked_sub(1),
                };
                (self.pool, self.scrolled) = (next.and_then(|at| pools.get(at).cloned()), 0);
            }
            Key::Char(digit @ '1'..='9') => {
                let pool = digit as usize - '1' as usize;
                (self.pool, self.scrolled) = (pools.get(pool).cloned(), 0);
            }
            Key::Char('s') => self.order = self.order.next(),
            Key::Char('/') => (self.is_typing, self.filter, self.scrolled) = (true, String::new(), 0),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    /// Returns the part of a status that was chosen, in the chosen order.
    pub(super) fn of(&self, status: &Status) -> Status {
        let mut status = status.clone();
        self.filter(&mut status);
        if let Some(only) = status.pools.iter().find(|pool| self.pool.as_ref() == Some(&pool.name)).cloned() {
            status.pools = vec![only];
        }
        status.pools.iter_mut().for_each(|pool| self.order.sort(pool));
        status
    }

    /// Returns the names of the pools that fit the filter.
    pub(super) fn pools(&self, status: &Status) -> Vec<String> {
        let mut status = status.clone();
        self.filter(&mut status);
        status.pools.into_iter().map(|pool| pool.name).collect()
    }

    /// Leaves out what does not fit the filter.
    fn filter(&self, status: &mut Status) {
        let filter = self.filter.to_lowercase();
        if !filter.is_empty() {
            status.pools.retain_mut(|pool| {
                let is_hit = pool.name.to_lowercase().contains(&filter);
                if !is_hit {
                    pool.backends.retain(|backend| has_text(backend, &filter));
                }
                is_hit || !pool.backends.is_empty()
            });
        }
    }

    /// Returns the choice in words, for the foot of the screen.
    pub(super) fn text(&self) -> String {
        let filter = match (self.is_typing, self.filter.as_str()) {
            (true, text) => format!("filter: {text}_"),
            (false, "") => "/ filter".to_owned(),
            (false, text) => format!("/ filter: {text}"),
        };
        format!("q quit  ? help  \u{2191}\u{2193} scroll  1-9 n p a pools  s order: {}  {filter}", self.order.name())
    }
}

impl Order {
    fn next(self) -> Self {
        match self {
            Self::Address => Self::Connections,
            Self::Connections => Self::State,
            Self::State => Self::Name,
            Self::Name => Self::Address,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Connections => "connections",
            Self::State => "state",
            Self::Name => "name",
        }
    }

    fn sort(self, pool: &mut PoolStatus) {
        let backends = &mut pool.backends;
        match self {
            Self::Address => backends.sort_by_key(|backend| backend.address),
            Self::Connections => backends.sort_by_key(|backend| (Reverse(backend.connections()), backend.address)),
            Self::State => backends.sort_by_key(|b| (b.state.interest(b.established), b.address)),
            Self::Name => backends.sort_by_key(|backend| (backend.pod.clone(), backend.address)),
        }
    }
}

fn has_text(backend: &BackendStatus, text: &str) -> bool {
    let names = [&backend.pod, &backend.node, &backend.zone].into_iter().flatten();
    let mut texts =
        names.map(|name| name.to_lowercase()).chain([backend.address.to_string(), backend.state.to_string()]);
    texts.any(|one| one.contains(text))
}

#[cfg(test)]
mod tests {
    use ilb_discovery::State;
    use ilb_reconciler::Method;
    use tokio::time::Instant;

    use super::*;
    use crate::observe::insight::{
        Insight,
        tests::{Reporter, pods, sample, set},
    };

    fn status() -> Status {
        let insight = Insight::new();
        let pool = Reporter::add(&insight, "a", "a", Method::LeastConnections);
        pool.discovered(&pods(&["db-2", "db-1", "web-0"]));
        pool.sampled(&sample(&[3, 9, 5]));
        Reporter::add(&insight, "b", "b", Method::RoundRobin).discovered(&set(&[State::NotReady]));
        insight.read(|facts| facts.status(usize::MAX, Instant::now()))
    }

    /// Presses keys, and returns the names or addresses of the backends that are shown then.
    fn shown(keys: &str) -> Vec<String> {
        let (status, mut choice) = (status(), Choice::default());
        for key in keys.chars() {
            let key = if key == '\n' { Key::Enter } else { Key::Char(key) };
            assert!(choice.press(key, &choice.pools(&status), 20).is_continue());
        }
        let backends = choice.of(&status).pools.into_iter().flat_map(|pool| pool.backends);
        backends.map(|backend| backend.pod.unwrap_or_else(|| backend.address.to_string())).collect()
    }

    #[tokio::test]
    async fn pools_order_and_filter_are_chosen_by_keys() {
        let all = ["db-2", "db-1", "web-0", "10.0.0.1:5432"];
        assert_eq!(shown(""), all);
        assert_eq!(shown("2"), ["10.0.0.1:5432"]);
        assert_eq!(shown("2a"), all);
        assert_eq!(shown("nnn"), all, "after the last pool come all of them");
        assert_eq!(shown("p"), ["10.0.0.1:5432"]);
        assert_eq!(shown("pp"), ["db-2", "db-1", "web-0"]);
        assert_eq!(shown("/10.0.0.1\n2"), ["10.0.0.1:5432"], "digits count the pools that are listed");
        assert_eq!(shown("2/db\n"), ["db-2", "db-1"], "a pool that does not fit the filter is not shown");
        assert_eq!(shown("1s"), ["db-1", "web-0", "db-2"]);
        assert_eq!(shown("1sss"), ["db-1", "db-2", "web-0"]);
        assert_eq!(shown("/db\ns"), ["db-1", "db-2"]);
        assert_eq!(shown("/not ready\n"), ["10.0.0.1:5432"]);
        assert_eq!(shown("/q"), [""; 0], "q is a letter while a filter is typed");
        assert!(Choice::default().press(Key::Char('q'), &[], 20).is_break());
    }
}
