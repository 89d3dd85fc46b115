//! What is known of a pool whose connections may be closed.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use ilb_discovery::{BackendSet, State};

use crate::closing::{
    choice::mixed,
    connection::{Connection, Counted},
    goals::{Goals, Member},
    ledger::Ledger,
};

/// The origin of a set of backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A change that was watched.
    Discovered {
        /// The backends that left the set because they no longer match the selector, while they live on: those whose
        /// removal was watched, and that are not being deleted.
        left_selector: BTreeSet<SocketAddr>,
    },
    /// Other settings.
    Configured,
    /// A list: the first one, or one after an interruption of the watch, which does not show why backends left.
    Relisted,
}

/// The other facts that have to be known before anything is closed. By default everything is in doubt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is known from somewhere else")]
pub struct View {
    /// Set if discovery is up to date.
    pub is_fresh: bool,
    /// Set if the configuration is proved to be in force in the proxy that runs now.
    pub is_in_force: bool,
    /// Moment at which the proxy that runs now was first seen; `None` if none is.
    pub proxy_since: Option<Instant>,
    /// Set if connections can be counted.
    pub can_count: bool,
    /// Backends that are suspect or failing, or that a probe is out for.
    pub suspects: BTreeSet<SocketAddr>,
    /// The backends that the next connections go to, one for each connection; empty while that is not known.
    pub next_backends: Vec<SocketAddr>,
    /// Backends that left this pool and that other pools have: connections that are opened there now are theirs.
    pub of_other_pools: BTreeSet<SocketAddr>,
    /// Set if there is a closer that can close connections.
    pub has_closer: bool,
    /// Set if it is the turn of this pool.
    pub has_turn: bool,
    /// Time since midnight, for the maintenance window.
    pub time_of_day: Duration,
}

#[derive(Clone, Debug)]
pub(crate) struct Knowledge {
    started: Instant,
    backends: BTreeMap<SocketAddr, Known>,
    /// Moment at which the ready backends or their capacities changed last.
    set_changed: Instant,
    left: BTreeMap<SocketAddr, Instant>,
    counts: BTreeMap<SocketAddr, Counted>,
    counted_in_all: u64,
    connections: BTreeMap<SocketAddr, Vec<Connection>>,
    sampled: Option<Instant>,
    described: Option<Instant>,
    descriptions: u64,
    view: View,
    viewed: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    state: State,
    capacity: u64,
    /// Moment at which it got its state.
    pub(crate) since: Instant,
    /// Moment at which it will be killed.
    pub(crate) killed_at: Option<Instant>,
}

/// Time after which samples show each connection to a backend that left: those that were opened just before may be found when
/// the whole table is read, and the proxy may go on to open some until it has another configuration.
const FOUND_WITHIN: Duration = Duration::from_secs(15);

/// Time after which the proxy opens no more connections for this pool to a backend that left: it has another configuration by
/// then.
const OPENED_FOR: Duration = Duration::from_secs(1);

/// Age from which on a sample or a view is not relied on any more.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(5);

/// Age from which on a description of connections is not relied on any more. The closer looks at each once more.
const MAX_DESCRIPTION_AGE: Duration = Duration::from_secs(15);

impl Knowledge {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            started: now,
            backends: BTreeMap::new(),
            set_changed: now,
            left: BTreeMap::new(),
            counts: BTreeMap::new(),
            counted_in_all: 0,
            connections: BTreeMap::new(),
            sampled: None,
            described: None,
            descriptions: 0,
            view: View::default(),
            viewed: None,
        }
    }

    /// Takes in a set. Returns `true` if the backends that share the connections have changed.
    pub(crate) fn backends(&mut self, set: &BackendSet, origin: &Origin, now: Instant) -> bool {
        let shares = |known: &BTreeMap<SocketAddr, Known>| -> Vec<(SocketAddr, u64)> {
            let ready = known.iter().filter(|(_, known)| known.state == State::Ready);
            ready.map(|(backend, known)| (*backend, known.capacity)).collect()
        };
        let known = |backend: &ilb_discovery::Backend| {
            let state = backend.state();
            let before = self.backends.get(&backend.address()).filter(|before| before.state == state);
            let known = Known {
                state,
                capacity: backend.capacity().get().into(),
                since: before.map_or(now, |before| before.since),
                killed_at: self.backends.get(&backend.address()).and_then(|before| before.killed_at),
            };
            (backend.address(), known)
        };
        let backends: BTreeMap<_, _> = set.iter().map(known).collect();
        if let Origin::Discovered { left_selector } = origin {
            let was_ready =
                |backend: &&SocketAddr| self.backends.get(*backend).is_some_and(|before| before.state == State::Ready);
            for backend in left_selector.iter().filter(was_ready) {
                self.left.entry(*backend).or_insert(now);
            }
        }
        self.left.retain(|backend, _| !backends.contains_key(backend));
        let has_changed = shares(&self.backends) != shares(&backends);
        if has_changed {
            self.set_changed = now;
        }
        self.backends = backends;
        has_changed
    }

    pub(crate) fn will_be_killed(&mut self, backend: SocketAddr, at: Instant) {
        if let Some(known) = self.backends.get_mut(&backend) {
            known.killed_at = Some(at);
        }
    }

    pub(crate) fn sampled(
        &mut self,
        counts: &BTreeMap<SocketAddr, Counted>,
        connections: Option<&[Connection]>,
        now: Instant,
    ) {
        self.counts.clone_from(counts);
        self.counted_in_all = counts.values().map(|counted| u64::from(counted.connections)).sum();
        self.sampled = Some(now);
        if let Some(connections) = connections {
            self.connections.clear();
            for connection in connections {
                self.connections.entry(connection.backend).or_default().push(*connection);
            }
            // In another order each time, so that the first that may be closed is one by lot.
            self.descriptions += 1;
            for connections in self.connections.values_mut() {
                connections.sort_by_cached_key(|one| mixed(one.cookie, self.descriptions));
            }
            self.described = Some(now);
        }
        let is_recent = |since: Instant| now.saturating_duration_since(since) < FOUND_WITHIN;
        let mut left = std::mem::take(&mut self.left);
        left.retain(|backend, since| is_recent(*since) || self.counted_of(*backend, Some(*since)) > 0);
        self.left = left;
    }

    pub(crate) fn viewed(&mut self, view: View, now: Instant) {
        (self.view, self.viewed) = (view, Some(now));
    }

    /// Returns the backends that share the connections, with those that no order is about.
    pub(crate) fn goals(&self, ledger: &Ledger) -> Goals {
        let ordered = ledger.ordered_by_backend();
        let member = |(backend, known): (&SocketAddr, &Known)| Member {
            backend: *backend,
            connections: self.counted(*backend).saturating_sub(ordered.get(backend).copied().unwrap_or(0)),
            capacity: known.capacity,
        };
        let ready = self
            .backends
            .iter()
            .filter(|(backend, known)| known.state == State::Ready && !self.view.suspects.contains(*backend));
        Goals::new(ready.map(member).collect(), ledger.expected())
    }

    /// Returns the number of connections of a backend that no order is about.
    pub(crate) fn connections_left(&self, backend: SocketAddr, ledger: &Ledger) -> u64 {
        self.counted(backend).saturating_sub(ledger.ordered_from(backend))
    }

    /// Returns the described connections of a backend, in a random order, if the description is recent.
    pub(crate) fn connections_of(&self, backend: SocketAddr, now: Instant) -> impl Iterator<Item = &Connection> {
        let is_recent = self.described.is_some_and(|at| now.saturating_duration_since(at) <= MAX_DESCRIPTION_AGE);
        let since = self.left.get(&backend).copied();
        let described = self.connections.get(&backend).filter(|_| is_recent).into_iter().flatten();
        described.filter(move |one| self.is_own(one, since))
    }

    pub(crate) fn described(&self) -> Option<Instant> {
        self.described
    }

    pub(crate) fn ready(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.in_state(State::Ready).map(|(backend, _)| backend)
    }

    pub(crate) fn draining(&self) -> impl Iterator<Item = (SocketAddr, Known)> + '_ {
        self.in_state(State::Draining)
    }

    /// Returns the backends that left the selector, and when.
    pub(crate) fn left(&self) -> impl Iterator<Item = (SocketAddr, Instant)> + '_ {
        self.left.iter().map(|(backend, since)| (*backend, *since))
    }

    pub(crate) fn suspects(&self) -> &BTreeSet<SocketAddr> {
        &self.view.suspects
    }

    pub(crate) fn next_backends(&self) -> &[SocketAddr] {
        &self.view.next_backends
    }

    pub(crate) fn has_closer(&self) -> bool {
        self.view.has_closer
    }

    pub(crate) fn has_turn(&self) -> bool {
        self.view.has_turn
    }

    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    pub(crate) fn set_changed(&self) -> Instant {
        self.set_changed
    }

    /// Returns the last view, if it is recent.
    pub(crate) fn recent_view(&self, now: Instant) -> Option<&View> {
        let viewed = self.viewed?;
        (now.saturating_duration_since(viewed) <= MAX_AGE).then_some(&self.view)
    }

    pub(crate) fn has_recent_sample(&self, now: Instant) -> bool {
        self.sampled.is_some_and(|sampled| now.saturating_duration_since(sampled) <= MAX_AGE)
    }

    /// Returns the number of connections of a backend in the last sample. Those of other pools do not count.
    pub(crate) fn counted(&self, backend: SocketAddr) -> u64 {
        self.counted_of(backend, self.left.get(&backend).copied())
    }

    /// Does the same for a backend that left at `left`.
    fn counted_of(&self, backend: SocketAddr, left: Option<Instant>) -> u64 {
        let counted = self.counts.get(&backend).map_or(0, |counted| u64::from(counted.connections));
        let is_told_apart = |left: Instant| self.described.is_some_and(|described| described > left + OPENED_FOR);
        if !self.view.of_other_pools.contains(&backend) || !left.is_some_and(is_told_apart) {
            return counted;
        }
        let own = self.connections.get(&backend).into_iter().flatten().filter(|one| self.is_own(one, left));
        counted.min(own.count().try_into().unwrap_or(u64::MAX))
    }

    /// Returns `true` unless another pool must have opened the connection, because its backend left this one at `left`.
    fn is_own(&self, connection: &Connection, left: Option<Instant>) -> bool {
        let is_earlier = left.is_none_or(|left| connection.first_seen <= left + OPENED_FOR);
        is_earlier || !self.view.of_other_pools.contains(&connection.backend)
    }

    /// Returns the number of connections of all backends in the last sample.
    pub(crate) fn counted_in_all(&self) -> u64 {
        self.counted_in_all
    }

    fn in_state(&self, state: State) -> impl Iterator<Item = (SocketAddr, Known)> + '_ {
        let backends = self.backends.iter().filter(move |(_, known)| known.state == state);
        backends.map(|(backend, known)| (*backend, *known))
    }
}
