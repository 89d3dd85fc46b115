//! What is known of a pool whose connections may be closed.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use ilb_discovery::{BackendSet, State};

use crate::closing::{
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
    connections: BTreeMap<SocketAddr, Vec<Connection>>,
    sampled: Option<Instant>,
    described: Option<Instant>,
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

/// Age from which on a sample or a view is not relied on any more.
pub(crate) const MAX_AGE: Duration = Duration::from_secs(5);

impl Knowledge {
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            started: now,
            backends: BTreeMap::new(),
            set_changed: now,
            left: BTreeMap::new(),
            counts: BTreeMap::new(),
            connections: BTreeMap::new(),
            sampled: None,
            described: None,
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
        self.sampled = Some(now);
        if let Some(connections) = connections {
            self.connections.clear();
            for connection in connections {
                self.connections.entry(connection.backend).or_default().push(*connection);
            }
            self.described = Some(now);
        }
        let has_connections = |backend: &SocketAddr| counts.get(backend).is_some_and(|counted| counted.connections > 0);
        let is_recent = |since: Instant| now.saturating_duration_since(since) < FOUND_WITHIN;
        self.left.retain(|backend, since| is_recent(*since) || has_connections(backend));
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

    /// Returns the described connections of a backend, if the description is recent.
    pub(crate) fn connections_of(&self, backend: SocketAddr, now: Instant) -> impl Iterator<Item = &Connection> {
        let is_recent = self.described.is_some_and(|at| now.saturating_duration_since(at) <= MAX_AGE);
        self.connections.get(&backend).filter(|_| is_recent).into_iter().flatten()
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

    /// Returns the number of connections of a backend in the last sample.
    pub(crate) fn counted(&self, backend: SocketAddr) -> u64 {
        self.counts.get(&backend).map_or(0, |counted| u64::from(counted.connections))
    }

    /// Returns the number of connections of all backends in the last sample.
    pub(crate) fn counted_in_all(&self) -> u64 {
        self.counts.values().map(|counted| u64::from(counted.connections)).sum()
    }

    fn in_state(&self, state: State) -> impl Iterator<Item = (SocketAddr, Known)> + '_ {
        let backends = self.backends.iter().filter(move |(_, known)| known.state == state);
        backends.map(|(backend, known)| (*backend, *known))
    }
}
