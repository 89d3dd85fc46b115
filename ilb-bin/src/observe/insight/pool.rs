//! The facts of one pool.
//!
//! They repeat what the loop's events report, for readers. `in_force` is the decision of the last push that was reported
//! as proved; what has to be pushed is decided from `Pushes` in the loop, never from here.

use std::{collections::BTreeMap, fmt, net::SocketAddr, sync::Arc, time::Duration};

use ilb_connections::Sample;
use ilb_controller::{Desired, PoolInfo};
use ilb_discovery::{Backend, BackendSet, Discovery, State};
use ilb_reconciler::{
    Decision, LeastConnections, Method, Reason,
    decision::{Evidence, Standing},
    least_connections::StandingChange,
};
use ilb_traefik_client::Error;
use prometheus_client::metrics::histogram::Histogram;
use tokio::time::Instant;

use super::{
    closing::PoolClosings, imbalance::Imbalance, load::LoadFacts, problem::OngoingProblem, sharing::PoolSharing,
    traefik::duration_histogram, words::BackendState,
};

/// Facts about one pool.
#[derive(Clone)]
pub(crate) struct PoolFacts {
    pub(crate) entry_point: String,
    pub(crate) method: Method,
    discovery: Arc<dyn Discovery>,
    /// The last set of backends.
    pub(crate) backends: Option<Arc<BackendSet>>,
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
    pub(crate) closings: PoolClosings,
    /// The exchange with the siblings; `None` if the pool takes no part.
    pub(crate) sharing: Option<PoolSharing>,
    /// The moment of the oldest change of the ready backends that is in no push yet.
    changed: Option<Instant>,
    /// The moment of the oldest such change in the push that is in flight.
    change_in_flight: Option<Instant>,
    /// Seconds from a change of the ready backends to the proof that it is in force.
    pub(crate) propagation: Histogram,
    added: Instant,
}

/// State of a backend that is ready for discovery and does not serve connections, and the evidence.
#[derive(Clone, Debug)]
struct Misfit {
    state: BackendState,
    evidence: Evidence,
}

impl PoolFacts {
    pub(super) fn new(pool: &PoolInfo, now: Instant) -> Self {
        Self {
            entry_point: pool.spec.entry_point.to_string(),
            method: pool.method,
            discovery: Arc::clone(&pool.discovery),
            backends: None,
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
            closings: PoolClosings::new(Arc::clone(&pool.closing)),
            sharing: None,
            changed: None,
            change_in_flight: None,
            propagation: duration_histogram(),
            added: now,
        }
    }

    /// Takes over what is in force from the pool of the same name that this one replaces, if it has the same entry point.
    pub(super) fn replacing(mut self, before: Self) -> Self {
        if before.entry_point == self.entry_point {
            (self.decided, self.in_force) = (before.decided, before.in_force);
        }
        self.closings.replacing(before.closings);
        self
    }

    /// Takes in a set. `is_stale` is whether a part of its source is still stale.
    pub(super) fn discovered(&mut self, set: &Arc<BackendSet>, is_stale: bool, now: Instant) {
        if !is_stale {
            self.stale = None;
        }
        self.sets += 1;
        if self.backends.as_ref().is_none_or(|before| !before.iter_ready().eq(set.iter_ready())) {
            self.changed.get_or_insert(now);
        }
        self.load.retain(|address| set.get(address).is_some());
        self.misfits.retain(|address, _| set.get(address).is_some());
        self.backends = Some(Arc::clone(set));
    }

    pub(super) fn stale(&mut self, error: &ilb_discovery::Error, now: Instant) {
        *self.errors.entry(error.kind()).or_default() += 1;
        self.stale = Some(OngoingProblem::after(self.stale.take(), error.kind(), error.with_causes().to_string(), now));
    }

    pub(super) fn sampled(&mut self, sample: &Sample, balancer: &LeastConnections, now: Instant) {
        self.sharing = PoolSharing::of(balancer, now);
        let Some(backends) = &self.backends else { return };
        self.load.sampled(sample, balancer, |address| backends.get(address).is_some(), now);
        // Without any connection there is nothing to compare, and with many backends a look at all of them is expensive.
        if sample.iter().len() == 0 {
            return;
        }
        if let Some(imbalance) = self.imbalance() {
            self.load.history.add(imbalance.ratio, now);
        }
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
        if self.backends.as_ref().is_some_and(|backends| backends.iter_ready().eq(desired.backends.iter())) {
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

    /// Returns the time since the last contact with the source of the backends.
    pub(crate) fn since_contact(&self) -> Option<Duration> {
        self.discovery.since_contact()
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
    pub(super) fn standing_changed(&mut self, change: &StandingChange) {
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

    /// Returns the imbalance; `None` where connections are not counted or there is nothing to compare.
    pub(crate) fn imbalance(&self) -> Option<Imbalance> {
        let takes_connections = |backend: &&Backend| self.state(backend) == BackendState::Ready;
        let load = |backend: &Backend| {
            Some(f64::from(self.load.get(backend.address())?.connections()) / f64::from(backend.capacity().get()))
        };
        Imbalance::from_loads(self.backends.as_ref()?.iter().filter(takes_connections).filter_map(load))
    }
}

impl fmt::Debug for PoolFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolFacts")
            .field("entry_point", &self.entry_point)
            .field("backends", &self.backends)
            .finish_non_exhaustive()
    }
}
