//! The closings of one pool: passes what is known of it to its [`Closing`], and reports what that decides.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use ilb_discovery::{BackendSet, State};
use ilb_reconciler::{
    Closing, ClosingPolicy,
    closing::{Answered, ClosingState, Counted, Done, Order, Origin, Outlook, Verdict, View, Why},
};
use ilb_traefik_client::Name;
use tokio::time::Instant;

use super::{
    convert,
    facts::ClosingFacts,
    orders::ClosingResult,
    run::{RunChange, Runs},
};
use crate::{
    counting::{ClosingNeeds, Taken},
    event::{Event, Observer},
};

/// Decides which connections of one pool to close.
#[derive(Debug)]
pub(crate) struct PoolClosing {
    closing: Closing,
    generation: u64,
    /// Set if the last news of discovery was a set that is up to date.
    is_fresh: bool,
    view: View,
    viewed: Option<Instant>,
    /// Set if something has happened since the last decision.
    is_due: bool,
    ask_again: Option<Instant>,
    /// The state that was reported last.
    state: ClosingState,
    runs: Runs,
    facts: ClosingFacts,
    /// Number of connections in the last sample.
    connections: u64,
}

/// Facts that are the same for all pools.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(super) proxy_since: Option<Instant>,
    pub(super) has_closer: bool,
}

/// Facts that the pool knows.
#[derive(Clone, Debug)]
pub(crate) struct PoolView {
    pub(crate) is_in_force: bool,
    pub(crate) can_count: bool,
    pub(crate) suspects: BTreeSet<SocketAddr>,
    /// The backends that the next connections go to.
    pub(crate) next_backends: Vec<SocketAddr>,
    /// The backends that left it and that other pools have.
    pub(crate) of_other_pools: BTreeSet<SocketAddr>,
}

/// Time after which there is another decision even without news: what is known must not become old.
const PERIOD: Duration = Duration::from_secs(1);

impl PoolClosing {
    pub(crate) fn new(policy: ClosingPolicy) -> Self {
        Self::with(Closing::new(policy, Instant::now().into_std()), next_generation())
    }

    /// Creates the closings of a pool that replaces that of `before`.
    pub(crate) fn replacing(before: &Self, policy: ClosingPolicy) -> Self {
        let closing = Closing::replacing(&before.closing, policy, Instant::now().into_std());
        Self::with(closing, before.generation)
    }

    fn with(closing: Closing, generation: u64) -> Self {
        Self {
            closing,
            generation,
            is_fresh: false,
            view: View::default(),
            viewed: None,
            is_due: true,
            ask_again: None,
            state: ClosingState::Idle,
            runs: Runs::default(),
            facts: ClosingFacts::default(),
            connections: 0,
        }
    }

    pub(crate) fn policy(&self) -> &ClosingPolicy {
        self.closing.policy()
    }

    /// Takes in a set of backends, the addresses that left the selector before it, and whether all of it is up to date.
    pub(crate) fn discovered(&mut self, set: &BackendSet, left_selector: BTreeSet<SocketAddr>, is_fresh: bool) {
        // Whether the set was watched or listed does not matter further: a list shows nothing that left the selector.
        let origin = if left_selector.is_empty() { Origin::Relisted } else { Origin::Discovered { left_selector } };
        self.closing.backends(set, &origin, Instant::now().into_std());
        for backend in set.iter().filter(|backend| backend.state() == State::Draining) {
            if let Some(at) = backend.killed_at() {
                self.closing.will_be_killed(backend.address(), at);
            }
        }
        (self.is_fresh, self.is_due) = (is_fresh, true);
    }

    /// Takes in that discovery is out of date.
    pub(crate) fn stale(&mut self) {
        (self.is_fresh, self.is_due) = (false, true);
    }

    /// Takes in a sample.
    pub(crate) fn sampled(&mut self, taken: &Taken) {
        let counted = |(backend, load): (SocketAddr, ilb_connections::Load)| {
            (backend, Counted { connections: load.connections(), opened: load.opened, closed: load.closed })
        };
        let counts: BTreeMap<SocketAddr, Counted> = taken.sample.iter().map(counted).collect();
        let connections: Option<Vec<_>> = match &taken.connections {
            Some(Ok(connections)) => Some(connections.iter().map(convert::connection).collect()),
            _ => None,
        };
        self.connections = counts.values().map(|counted| u64::from(counted.connections)).sum();
        if let Some(connections) = &connections {
            let number = |answered| {
                let of_these = connections.iter().filter(|one| one.answered == answered);
                of_these.count().try_into().unwrap_or(u64::MAX)
            };
            self.facts.answered = number(Answered::Yes);
            self.facts.asked = number(Answered::No);
            self.facts.unknown = number(Answered::Unknown);
        }
        self.closing.sample(&counts, connections.as_deref(), taken.begun.into_std());
        self.is_due = true;
    }

    /// Returns the decisions, to take in news of the siblings. The next decision is due then.
    pub(crate) fn together(&mut self) -> &mut Closing {
        self.is_due = true;
        &mut self.closing
    }

    /// Returns the number of connections that were closed on purpose so far while their backends stayed.
    pub(crate) fn closed_on_purpose(&self) -> u64 {
        self.closing.closed_on_purpose()
    }

    /// Returns the backends that left the pool and still have connections.
    pub(super) fn left_backends(&self) -> impl Iterator<Item = SocketAddr> {
        self.closing.to_count()
    }

    /// Returns what has to be counted for it.
    pub(crate) fn needs(&self) -> ClosingNeeds {
        let describe_at = self.closing.describe_at(Instant::now().into_std());
        let is_closing = self.runs.is_closing();
        ClosingNeeds {
            also_count: self.closing.to_count().collect(),
            describe_at: describe_at.map(Into::into),
            is_closing,
        }
    }

    /// Takes in what else is known. Returns `true` if a decision is due.
    pub(crate) fn view(&mut self, known: &Known, of_pool: PoolView, now: Instant) -> bool {
        let PoolView { is_in_force, can_count, suspects, next_backends, of_other_pools } = of_pool;
        let view = View {
            is_fresh: self.is_fresh,
            is_in_force,
            proxy_since: known.proxy_since.map(Instant::into_std),
            can_count,
            suspects,
            next_backends,
            of_other_pools,
            has_closer: known.has_closer,
            has_turn: self.view.has_turn,
            time_of_day: time_of_day(),
        };
        let is_changed = View { time_of_day: self.view.time_of_day, ..view.clone() } != self.view;
        let is_old = self.viewed.is_none_or(|viewed| now.duration_since(viewed) >= PERIOD);
        self.is_due |= is_changed || is_old || self.ask_again.is_some_and(|at| at <= now);
        if self.is_due {
            self.view = view;
            self.viewed = Some(now);
            self.closing.view(self.view.clone(), now.into_std());
        }
        self.is_due
    }

    /// Returns `true` if orders are only shown.
    pub(super) fn is_dry_run(&self) -> bool {
        self.closing.is_dry_run()
    }

    /// Returns which connections the rules are about.
    pub(super) fn outlook(&self) -> Outlook {
        self.closing.outlook()
    }

    /// Returns the reason for which it wants to close connections.
    pub(crate) fn wants(&self, now: Instant) -> Option<Why> {
        self.closing.wants(now.into_std())
    }

    /// Decides, if that is due, and reports what has changed. Returns the decision.
    pub(crate) fn decide(
        &mut self,
        pool: &Name,
        has_turn: bool,
        now: Instant,
        observer: &mut dyn Observer,
    ) -> Option<(u64, Verdict)> {
        if !self.is_due && self.view.has_turn == has_turn {
            return None;
        }
        self.view.has_turn = has_turn;
        self.closing.view(self.view.clone(), now.into_std());
        let verdict = self.closing.decide(now.into_std());
        self.is_due = false;
        // A moment that has come already would make the loop spin.
        let soonest = now + Duration::from_millis(1);
        self.ask_again = verdict.ask_again.map(|at| Instant::from(at).max(soonest));
        let changes = self.runs.decided(&verdict, self.connections, now);
        report_all(pool, &changes, observer);
        if verdict.is_dry_run {
            verdict.orders.iter().for_each(|order| self.runs.finished(order.why, &ClosingResult::Shown));
        }
        if !is_same_kind(self.state, verdict.state) {
            observer.on(&Event::ClosingStateChanged { pool, state: verdict.state });
        }
        self.state = verdict.state;
        let left = if let ClosingState::Closing { left, .. } = verdict.state { left } else { 0 };
        let facts = ClosingFacts { away: self.closing.away(), left, is_dry_run: verdict.is_dry_run, ..self.facts };
        if std::mem::replace(&mut self.facts, facts) != facts {
            observer.on(&Event::ClosingsCounted { pool, facts: &facts });
        }
        Some((self.generation, verdict))
    }

    /// Returns the moment at which another decision may differ without news.
    pub(crate) fn ask_again(&self) -> Option<Instant> {
        self.ask_again
    }

    /// Takes in what became of an order, if it is one of this pool and generation.
    pub(crate) fn done(&mut self, generation: u64, order: &Order, done: Done, result: &ClosingResult) {
        if generation == self.generation {
            self.closing.done(order.id, done, Instant::now().into_std());
            self.runs.finished(order.why, result);
            self.is_due = true;
        }
    }

    /// Reports that the present run ends with this pool.
    pub(crate) fn end(&mut self, pool: &Name, observer: &mut dyn Observer) {
        let change = self.runs.end();
        report_all(pool, change.as_slice(), observer);
    }
}

fn report_all(pool: &Name, changes: &[RunChange], observer: &mut dyn Observer) {
    for change in changes {
        observer.on(&match change {
            RunChange::Began(run) => Event::ClosingsBegan { pool, run },
            RunChange::Ended(run, end) => Event::ClosingsEnded { pool, run, end: *end },
        });
    }
}

/// Returns the time since midnight, in UTC.
#[expect(clippy::disallowed_methods, reason = "a maintenance window is given by the clock that people read")]
fn time_of_day() -> Duration {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Duration::from_secs(since_epoch.as_secs() % (24 * 3600))
}

/// Returns `true` if states differ in nothing but the number of connections left.
fn is_same_kind(a: ClosingState, b: ClosingState) -> bool {
    match (a, b) {
        (ClosingState::Closing { why: a, .. }, ClosingState::Closing { why: b, .. }) => a == b,
        (a, b) => a == b,
    }
}

/// Returns a number that no other closings of this process have.
fn next_generation() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
