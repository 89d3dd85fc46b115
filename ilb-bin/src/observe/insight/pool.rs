//! The facts of one pool.
//!
//! They repeat what the loop's events report, for readers. `in_force` is the decision of the last push that was reported
//! as proved; what has to be pushed is decided from `Pushes` in the loop, never from here.

use std::{collections::BTreeMap, fmt, net::SocketAddr, sync::Arc, time::Duration};

use ilb_connections::Sample;
use ilb_controller::{Desired, PoolInfo};
use ilb_discovery::{Backend, BackendSet, Complaint, Complaints, Discovery, SourceInfo, State};
use ilb_reconciler::{
    Decision, LeastConnections, Method, Reason,
    decision::{Evidence, Standing},
    least_connections::StandingChange,
};
use ilb_traefik_client::Error;
use prometheus_client::metrics::histogram::Histogram;
use tokio::time::Instant;

use super::{
    closing::PoolClosings,
    history::{Budget, PoolHistory},
    imbalance::{Imbalance, compared},
    left::LeftBackends,
    limit::LimitFacts,
    load::LoadFacts,
    problem::OngoingProblem,
    sharing::PoolSharing,
    since::StatesSince,
    traefik::duration_histogram,
    words::BackendState,
    zones::ZoneFacts,
};

/// Facts about one pool.
#[derive(Clone)]
pub(crate) struct PoolFacts {
    pub(crate) entry_point: String,
    pub(crate) method: Method,
    /// Unset if Traefik adds something to what clients send.
    pub(crate) is_transparent: bool,
    discovery: Arc<dyn Discovery>,
    /// The last set of backends.
    pub(crate) backends: Option<Arc<BackendSet>>,
    /// Backends that have left, and may still have connections.
    pub(crate) left: LeftBackends,
    /// The moments since which the backends are in their states.
    pub(crate) states: StatesSince,
    /// The problem that keeps the set from being up to date.
    pub(crate) stale: Option<OngoingProblem>,
    /// Number of complete sets that discovery has published.
    pub(crate) sets: u64,
    /// Errors that made the set stale or kept it so, by kind.
    pub(crate) errors: BTreeMap<&'static str, u64>,
    /// The last decision.
    pub(super) decided: Option<Arc<Decision>>,
    /// Number of backends that other pools have, too.
    pub(crate) shared: usize,
    /// The backends that are suspect or failing at this moment, also while a plan without them cannot be pushed.
    misfits: BTreeMap<SocketAddr, Misfit>,
    /// The reason why Traefik does not have the pool in force, while it has others.
    pub(crate) fault: Option<OngoingProblem>,
    /// The decision that is in force, or was at the last proof.
    pub(crate) in_force: Option<Arc<Decision>>,
    /// The decision in the last push, whatever came of it.
    pushed_last: Option<Arc<Decision>>,
    pub(crate) load: LoadFacts,
    /// The numbers of the last day.
    pub(crate) history: PoolHistory,
    pub(crate) closings: PoolClosings,
    pub(crate) limit: LimitFacts,
    /// The exchange with the siblings; `None` if the pool takes no part.
    pub(crate) sharing: Option<PoolSharing>,
    /// Connections by zone; `None` if the pool prefers none.
    pub(crate) zones: Option<ZoneFacts>,
    /// The moment of the oldest change of the ready backends that is in no push yet.
    changed: Option<Instant>,
    /// The moment of the oldest such change in the push that is in flight.
    change_in_flight: Option<Instant>,
    /// Seconds from a change of the ready backends to the proof that it is in force.
    pub(crate) propagation: Histogram,
    added: Instant,
    /// Complaints about objects of the source that were taken in last.
    pub(super) complained: Arc<[Complaint]>,
    /// Version of these.
    pub(super) complaints_seen: u64,
}

/// State of a backend that is ready for discovery and does not serve connections, and the evidence.
#[derive(Clone, Debug)]
struct Misfit {
    state: BackendState,
    evidence: Evidence,
}

impl PoolFacts {
    pub(super) fn new(pool: &PoolInfo, budget: &Budget, now: Instant) -> Self {
        Self {
            entry_point: pool.spec.entry_point.to_string(),
            method: pool.method,
            is_transparent: pool.spec.proxy_protocol.is_none(),
            discovery: Arc::clone(&pool.discovery),
            backends: None,
            left: LeftBackends::default(),
            states: StatesSince::default(),
            stale: None,
            sets: 0,
            errors: BTreeMap::new(),
            decided: None,
            shared: 0,
            misfits: BTreeMap::new(),
            fault: None,
            in_force: None,
            pushed_last: None,
            load: LoadFacts::default(),
            history: PoolHistory::new(budget),
            closings: PoolClosings::new(Arc::clone(&pool.closing)),
            limit: LimitFacts::default(),
            sharing: None,
            zones: ZoneFacts::new(pool),
            changed: None,
            change_in_flight: None,
            propagation: duration_histogram(),
            added: now,
            complained: Arc::default(),
            complaints_seen: 0,
        }
    }

    /// Takes over what is in force from the pool of the same name that this one replaces, if it has the same entry point.
    pub(super) fn replacing(mut self, before: Self) -> Self {
        if before.entry_point == self.entry_point {
            (self.decided, self.in_force) = (before.decided, before.in_force);
        }
        self.states = before.states;
        self.left = before.left;
        self.history = before.history;
        self.closings.replacing(before.closings);
        self
    }

    /// Takes in a set. `is_stale` is whether a part of its source is still stale.
    pub(super) fn discovered(&mut self, set: &Arc<BackendSet>, is_stale: bool, now: Instant) {
        if !is_stale {
            self.stale = None;
        }
        self.sets += 1;
        if self.backends.as_ref().is_none_or(|before| !takes_the_same(before.iter_ready(), set.iter_ready())) {
            self.changed.get_or_insert(now);
        }
        self.load.retain(|address| set.get(address).is_some());
        self.history.retain(|address| set.get(address).is_some());
        self.misfits.retain(|address, _| set.get(address).is_some());
        self.states.discovered(set, now);
        if let Some(before) = &self.backends {
            self.left.replaced(before, set, now);
        }
        self.backends = Some(Arc::clone(set));
    }

    pub(super) fn stale(&mut self, error: &ilb_discovery::Error, now: Instant) {
        *self.errors.entry(error.kind()).or_default() += 1;
        self.stale = Some(OngoingProblem::after(self.stale.take(), error.kind(), error.with_causes().to_string(), now));
    }

    pub(super) fn sampled(&mut self, sample: &Sample, balancer: &LeastConnections, now: Instant) {
        self.sharing = PoolSharing::of(balancer, now);
        self.limit.sampled(balancer.limit(), now);
        let Some(backends) = self.backends.clone() else { return };
        if let Some(zones) = &mut self.zones {
            zones.sampled(sample, balancer, &backends);
        }
        self.load.sampled(sample, balancer, |address| backends.get(address).is_some(), now);
        // Without any connection there is nothing to compare, and with many backends a look at all of them is expensive.
        let ratio = if sample.iter().len() == 0 { None } else { self.imbalance().map(|imbalance| imbalance.ratio) };
        if let Some(ratio) = ratio {
            self.load.history.add(ratio, now);
        }
        self.history.sampled(sample, |address| backends.get(address).is_some(), ratio, now);
    }

    /// Takes in that a push has started, and returns its reason as far as this pool is concerned: none if the decision is
    /// in force already, or if Traefik has refused it and is only tried again.
    pub(super) fn push_started(&mut self, decision: &Arc<Decision>) -> Option<Reason> {
        self.change_in_flight = match (self.change_in_flight.take(), self.changed.take()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let is_it = |known: Option<&Arc<Decision>>| known.is_some_and(|known| Arc::ptr_eq(known, decision));
        let is_repetition = self.fault.is_some() && is_it(self.pushed_last.as_ref());
        let is_known = is_it(self.in_force.as_ref()) || is_repetition;
        self.pushed_last = Some(Arc::clone(decision));
        (!is_known).then_some(decision.reason)
    }

    pub(super) fn pushed(&mut self, desired: &Desired, now: Instant) {
        if let Some(changed) = self.change_in_flight.take() {
            self.propagation.observe(now.saturating_duration_since(changed).as_secs_f64());
        }
        // A change that was undone while the push was in flight needs no other push.
        let is_it = |backends: &Arc<BackendSet>| takes_the_same(backends.iter_ready(), desired.backends.iter());
        if self.backends.as_ref().is_some_and(is_it) {
            self.changed = None;
        }
        self.in_force = Some(Arc::clone(&desired.decision));
        self.fault = None;
        self.load.pushed();
    }

    /// Takes in that the push that has ended did not put this pool in force.
    pub(super) fn refused(&mut self, error: &Error, now: Instant) {
        self.push_failed();
        self.in_force = None;
        self.fault = Some(OngoingProblem::after(self.fault.take(), error.kind(), error.to_string(), now));
    }

    pub(super) fn push_failed(&mut self) {
        // The next push contains the same change.
        self.changed = self.change_in_flight.take().or(self.changed);
    }

    /// Returns what is different whenever another set of backends was published.
    pub(crate) fn version(&self) -> (Instant, u64) {
        (self.added, self.sets)
    }

    /// Returns the time since the last contact with the source of the backends.
    pub(crate) fn since_contact(&self) -> Option<Duration> {
        self.discovery.since_contact()
    }

    /// Returns where the backends come from.
    pub(crate) fn source(&self) -> Option<SourceInfo> {
        self.discovery.info()
    }

    /// Returns the complaints about objects of the source, at most `limit` of them.
    pub(crate) fn complaints(&self, limit: usize) -> Complaints {
        self.discovery.complaints(limit)
    }

    /// Returns a number that changes whenever the complaints do.
    pub(super) fn complaints_version(&self) -> u64 {
        self.discovery.complaints_version()
    }

    /// Returns how often the source had to be listed again.
    pub(crate) fn relists(&self) -> Option<u64> {
        self.discovery.relists()
    }

    /// Returns whether the backends are known, or were before the settings of the pool changed: those stay in force until
    /// discovery has published a new set.
    pub(super) fn is_known(&self) -> bool {
        self.backends.is_some() || self.in_force.is_some()
    }

    /// Returns how long the backend set has been unconfirmed.
    pub(crate) fn staleness(&self, now: Instant) -> Duration {
        match (&self.stale, &self.backends) {
            (Some(problem), _) => now.saturating_duration_since(problem.since),
            (None, None) => now.saturating_duration_since(self.added),
            (None, Some(_)) => Duration::ZERO,
        }
    }

    /// Takes in that a backend has become suspect or failing, or is no longer.
    pub(super) fn standing_changed(&mut self, change: &StandingChange, now: Instant) {
        self.states.changed(change.backend, change.to.into(), now);
        match (change.to, &change.evidence) {
            (Standing::State(_), _) | (_, None) => self.misfits.remove(&change.backend),
            (standing, Some(evidence)) => {
                let misfit = Misfit { state: standing.into(), evidence: evidence.clone() };
                self.misfits.insert(change.backend, misfit)
            }
        };
    }

    /// Returns the state of a backend. Suspect and failing ones are those of this moment, also while a plan without them
    /// cannot be pushed.
    pub(crate) fn state(&self, backend: &Backend) -> BackendState {
        match self.misfits.get(&backend.address()) {
            Some(misfit) if backend.state() == State::Ready => misfit.state,
            _ => backend.state().into(),
        }
    }

    /// Returns `true` if there is a backend that is ready and neither suspect nor failing.
    pub(crate) fn has_working_backend(&self) -> bool {
        let mut backends = self.backends.iter().flat_map(|backends| backends.iter());
        backends.any(|backend| self.state(backend) == BackendState::Ready)
    }

    /// Returns the evidence against a backend that is suspect or failing.
    pub(crate) fn evidence(&self, backend: &Backend) -> Option<&Evidence> {
        let misfit = self.misfits.get(&backend.address()).filter(|_| backend.state() == State::Ready);
        misfit.map(|misfit| &misfit.evidence)
    }

    /// Returns the imbalance of the connections of all replicas that are heard; `None` where connections are not counted or
    /// there is nothing to compare.
    pub(crate) fn imbalance(&self) -> Option<Imbalance> {
        let takes_connections = |backend: &&Backend| self.state(backend) == BackendState::Ready;
        let load = |backend: &Backend| {
            let total = self.sharing.as_ref().and_then(|sharing| sharing.total(backend.address()));
            Some(compared(self.load.get(backend.address()), total)? / f64::from(backend.capacity().get()))
        };
        Imbalance::from_loads(self.backends.as_ref()?.iter().filter(takes_connections).filter_map(load))
    }
}

/// Returns whether a push of the one is as good as one of the other.
fn takes_the_same<'a>(before: impl Iterator<Item = &'a Backend>, after: impl Iterator<Item = &'a Backend>) -> bool {
    before.map(|b| (b.address(), b.capacity())).eq(after.map(|b| (b.address(), b.capacity())))
}

impl fmt::Debug for PoolFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolFacts")
            .field("entry_point", &self.entry_point)
            .field("backends", &self.backends)
            .finish_non_exhaustive()
    }
}
