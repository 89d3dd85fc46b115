use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use ilb_connections::Sample;
use ilb_controller::{Desired, PoolInfo};
use ilb_discovery::{Backend, BackendSet, Discovery, State};
use ilb_reconciler::{Decision, LeastConnections, Method, Reason, decision::Standing};
use prometheus_client::metrics::histogram::Histogram;
use tokio::time::Instant;

use super::{
    load::{Imbalance, LoadFacts},
    traefik::{Trouble, durations},
};

/// What is known of one pool.
pub(crate) struct PoolFacts {
    pub(crate) entry_point: String,
    pub(crate) method: Method,
    discovery: Arc<dyn Discovery>,
    /// The set seen last.
    pub(crate) seen: Option<Arc<BackendSet>>,
    /// What is wrong with the view of the backends; `None` while it is up to date.
    pub(crate) stale: Option<Trouble>,
    /// Complete sets that discovery has published.
    pub(crate) sets: u64,
    /// How the view became stale or stayed it, by kind.
    pub(crate) errors: BTreeMap<&'static str, u64>,
    /// What was decided last, with the suspects of this moment.
    pub(super) decided: Option<Arc<Decision>>,
    /// What is in force, or was when it was proved last.
    pub(crate) in_force: Option<Arc<Decision>>,
    pub(crate) load: LoadFacts,
    /// Since when what should be in force differs from what was pushed.
    changed: Option<Instant>,
    /// The same for the push under way.
    pushing: Option<Instant>,
    /// From a change seen to the proof that it is in force, in seconds.
    pub(crate) propagation: Histogram,
    born: Instant,
    /// Whether others were in force when it came.
    late: bool,
}

impl PoolFacts {
    pub(super) fn new(pool: &PoolInfo, late: bool, now: Instant) -> Self {
        Self {
            entry_point: pool.spec.entry_point.to_string(),
            method: pool.method,
            discovery: Arc::clone(&pool.discovery),
            seen: None,
            stale: None,
            sets: 0,
            errors: BTreeMap::new(),
            decided: None,
            in_force: None,
            load: LoadFacts::default(),
            changed: None,
            pushing: None,
            propagation: durations(),
            born: now,
            late,
        }
    }

    pub(super) fn found(&mut self, set: &Arc<BackendSet>, now: Instant) {
        self.stale = None;
        self.sets += 1;
        if self.seen.as_ref().is_none_or(|seen| seen.ready() != set.ready()) {
            self.changed.get_or_insert(now);
        }
        self.load.keep(|address| set.get(address).is_some());
        self.seen = Some(Arc::clone(set));
    }

    pub(super) fn stale(&mut self, error: &ilb_discovery::Error, now: Instant) {
        *self.errors.entry(error.kind()).or_default() += 1;
        let (since, attempts) = self.stale.as_ref().map_or((now, 0), |trouble| (trouble.since, trouble.attempts));
        self.stale =
            Some(Trouble { kind: error.kind(), text: error.with_causes().to_string(), since, attempts: attempts + 1 });
    }

    pub(super) fn sampled(&mut self, sample: &Sample, balancer: &LeastConnections, now: Instant) {
        let Some(seen) = &self.seen else { return };
        self.load.sampled(sample, balancer, |address| seen.get(address).is_some(), now);
        // Without any connection there is nothing to compare, and with many backends looking at all of them costs.
        if sample.iter().len() == 0 {
            return;
        }
        if let Some(imbalance) = self.imbalance() {
            self.load.history.add(imbalance.ratio, now);
        }
    }

    /// Returns what this pool has to do with the push; nothing if its part is in force already.
    pub(super) fn push_started(&mut self, decision: &Arc<Decision>) -> Option<Reason> {
        self.pushing = match (self.pushing.take(), self.changed.take()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let in_force = self.in_force.as_ref().is_some_and(|in_force| Arc::ptr_eq(in_force, decision));
        (!in_force).then_some(decision.reason)
    }

    pub(super) fn pushed(&mut self, desired: &Desired, now: Instant) {
        if let Some(changed) = self.pushing.take() {
            self.propagation.observe(now.saturating_duration_since(changed).as_secs_f64());
        }
        // A change that was taken back while the push was under way needs no other.
        if self.seen.as_ref().is_some_and(|seen| seen.ready() == *desired.backends) {
            self.changed = None;
        }
        self.in_force = Some(Arc::clone(&desired.decision));
        self.load.pushed();
    }

    pub(super) fn push_failed(&mut self) {
        // The repetition is about the same change.
        self.changed = self.pushing.take().or(self.changed);
    }

    /// How long ago the source of the backends was last heard of.
    pub(crate) fn since_contact(&self) -> Option<Duration> {
        self.discovery.since_contact()
    }

    /// How often the source had to be listed as a whole again.
    pub(crate) fn relists(&self) -> Option<u64> {
        self.discovery.relists()
    }

    /// Takes over what is in force from the pool of this name that it replaces. On another entry point nothing is.
    pub(super) fn replacing(mut self, before: Self) -> Self {
        if before.entry_point == self.entry_point {
            (self.decided, self.in_force) = (before.decided, before.in_force);
        }
        self
    }

    /// Whether it came when others were in force, and has not been since.
    pub(super) fn is_late(&self) -> bool {
        self.late && self.in_force.is_none()
    }

    /// Whether it is known who the backends are, or who they were before the settings of the pool changed: those stay in
    /// force until the pool knows better.
    pub(super) fn is_known(&self) -> bool {
        self.seen.is_some() || self.in_force.is_some()
    }

    /// For how long it has not been sure that the backends are these.
    pub(crate) fn staleness(&self, now: Instant) -> Duration {
        match (&self.stale, &self.seen) {
            (Some(trouble), _) => now.saturating_duration_since(trouble.since),
            (None, None) => now.saturating_duration_since(self.born),
            (None, Some(_)) => Duration::ZERO,
        }
    }

    /// Returns whether a backend may take connections, by discovery and by the counts. Suspects are those of this moment,
    /// also while a plan without them cannot be pushed.
    pub(crate) fn standing(&self, backend: &Backend) -> Standing {
        let row = self.decided.as_ref().and_then(|decided| decided.row(backend.address()));
        match row {
            Some(row) if row.standing == Standing::Suspect && backend.state() == State::Ready => Standing::Suspect,
            _ => Standing::State(backend.state()),
        }
    }

    /// How unequal the loads are; `None` where nobody counts, or there is nothing to compare.
    pub(crate) fn imbalance(&self) -> Option<Imbalance> {
        let takes_connections = |backend: &&Backend| self.standing(backend) == Standing::State(State::Ready);
        let load = |backend: &Backend| {
            Some(f64::from(self.load.of(backend.address())?.connections()) / f64::from(backend.capacity().get()))
        };
        Imbalance::of(self.seen.as_ref()?.iter().filter(takes_connections).filter_map(load))
    }
}

impl fmt::Debug for PoolFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolFacts")
            .field("entry_point", &self.entry_point)
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}
