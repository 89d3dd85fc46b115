//! The log of one pool: its backends, the view of them, and the counting of their connections.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use ilb_connections::{ProbeError, Probed};
use ilb_controller::Desired;
use ilb_discovery::{BackendSet, State};
use ilb_reconciler::{Action, Decision, Method, decision::Standing, least_connections::StandingChange, reconcile};
use ilb_traefik_client::{Applied, Error, Name};
use tokio::time::Instant;

use super::trouble::Trouble;
use crate::observe::insight::changes::{BackendChanges, listed};

/// State of one pool as logged last, so that nothing is logged twice.
#[derive(Debug)]
pub(super) struct PoolLog {
    pool: Name,
    stale: Trouble,
    uncounted: Trouble,
    undescribed: Trouble,
    without_backend: bool,
    /// The last set of backends.
    backends: Option<Arc<BackendSet>>,
    /// Probes that could not be made.
    unprobed: Trouble,
    /// Backends that are suspect or failing, or have been recently.
    pub(super) misfits: BTreeMap<SocketAddr, Trouble>,
    /// Kind of the fault because of which the pool is not active.
    fault: Option<&'static str>,
    inactive: Trouble,
    /// Part of the last push.
    in_force: Option<Desired>,
    /// The pool is new, or its settings have changed, and no push of it has been logged since.
    is_new: bool,
}

const SUSPECT: &str = "A backend is suspect";
const FAILING: &str = "A backend is failing";

impl PoolLog {
    pub(super) fn new(pool: Name) -> Self {
        Self {
            pool,
            stale: Trouble::default(),
            uncounted: Trouble::default(),
            undescribed: Trouble::default(),
            without_backend: false,
            backends: None,
            unprobed: Trouble::default(),
            misfits: BTreeMap::new(),
            fault: None,
            inactive: Trouble::default(),
            in_force: None,
            is_new: true,
        }
    }

    /// Returns the log of the pool that replaces this one.
    pub(super) fn replaced(self) -> Self {
        Self { in_force: self.in_force, ..Self::new(self.pool) }
    }

    /// Logs what is new in a set. `is_stale` is whether a part of its source is still stale.
    pub(super) fn discovered(&mut self, set: &Arc<BackendSet>, previous: Option<&BackendSet>, is_stale: bool) {
        let pool = &self.pool;
        if !is_stale && self.stale.ended().is_some_and(|ended| ended.is_logged) {
            tracing::info!(%pool, "Discovery is up to date again");
        }
        if previous.is_none_or(|previous| previous != &**set) {
            let none = BackendSet::empty();
            let changes = BackendChanges::between(previous.unwrap_or(&none), set);
            tracing::info!(
                %pool,
                ready = set.count(State::Ready),
                draining = set.count(State::Draining),
                not_ready = set.count(State::NotReady),
                came = listed(&changes.came),
                left = listed(&changes.left),
                became_ready = listed(changes.became(State::Ready)),
                became_draining = listed(changes.became(State::Draining)),
                became_not_ready = listed(changes.became(State::NotReady)),
                restarted = listed(&changes.restarted),
                "Found pods"
            );
        }
        let without_backend = set.count(State::Ready) == 0;
        if without_backend && !self.without_backend {
            tracing::warn!(%pool, "No pod is ready: new connections are closed at once until one is");
        }
        self.without_backend = without_backend;
        self.misfits.retain(|backend, _| set.get(backend).is_some());
        self.backends = Some(Arc::clone(set));
    }

    pub(super) fn stale(&mut self, error: &ilb_discovery::Error, now: Instant) {
        let (pool, kind, error) = (&self.pool, error.kind(), error.with_causes());
        if self.stale.occurred(kind, &error, now) {
            tracing::warn!(%pool, %error, kind, "Discovery is stale: backends that it cannot see stay as seen last");
        }
    }

    pub(super) fn counted(&mut self) {
        if self.uncounted.ended().is_some_and(|ended| ended.is_logged) {
            tracing::info!(pool = %self.pool, "Connections can be counted again");
        }
    }

    pub(super) fn counting_failed(&mut self, error: &ilb_connections::Error, now: Instant) {
        let (pool, error) = (&self.pool, error.with_causes());
        if self.uncounted.occurred("counting", &error, now) {
            tracing::warn!(%pool, %error, "Connections cannot be counted: round robin until they can");
        }
    }

    pub(super) fn describing_failed(&mut self, error: &ilb_connections::Error, now: Instant) {
        let (pool, error) = (&self.pool, error.with_causes());
        if self.undescribed.occurred("describing", &error, now) {
            tracing::warn!(%pool, %error, "Connections cannot be described: none is closed until they can");
        }
    }

    /// Logs that a backend has become suspect or failing, or is no longer.
    pub(super) fn standing_changed(&mut self, change: &StandingChange, now: Instant) {
        let (pool, StandingChange { backend, from, to, evidence, .. }) = (&self.pool, change);
        let evidence = evidence.as_ref().map(ToString::to_string);
        let text = evidence.as_deref().unwrap_or_default();
        let pod = self.backends.as_ref().and_then(|set| set.get(backend)?.pod()).map(|pod| pod.name());
        let trouble = self.misfits.entry(*backend).or_default();
        match to {
            Standing::Suspect if trouble.occurred(SUSPECT, &text, now) => {
                tracing::warn!(%pool, %backend, pod, evidence, "{SUSPECT}: no new connections until it answers");
            }
            Standing::Failing if trouble.occurred(FAILING, &text, now) => {
                tracing::warn!(%pool, %backend, pod, evidence, "{FAILING}: few new connections until it works");
            }
            Standing::Suspect | Standing::Failing => {}
            _ if trouble.ended().is_none_or(|ended| !ended.is_logged) => {}
            Standing::State(State::Ready) => {
                tracing::info!(%pool, %backend, pod, before = %from, "A backend takes new connections again");
            }
            _ => tracing::info!(%pool, %backend, pod, before = %from, now = %to, "A backend is no longer ready"),
        }
    }

    pub(super) fn probed(&mut self, outcome: &Result<Probed, ProbeError>, now: Instant) {
        let pool = &self.pool;
        match outcome {
            Err(error @ ProbeError::Local(cause)) if self.unprobed.occurred("local", cause, now) => {
                tracing::warn!(%pool, %error, %cause, "Backends cannot be probed from here: those in doubt stay in use");
            }
            Err(ProbeError::Local(_)) => {}
            _ if self.unprobed.ended().is_some_and(|ended| ended.is_logged) => {
                tracing::info!(%pool, "Backends can be probed again");
            }
            _ => {}
        }
    }

    /// Logs that a push did not put the pool in force.
    pub(super) fn refused(&mut self, error: &Error, now: Instant) {
        let (pool, kind) = (&self.pool, error.kind());
        if self.fault.replace(kind) != Some(kind) && self.inactive.occurred(kind, error, now) {
            tracing::error!(%pool, %error, kind, "A pool is not active");
        }
    }

    /// Logs a push if it has changed the backends of this pool.
    pub(super) fn pushed(&mut self, desired: &Desired, applied: &Applied, failed_attempts: u64) {
        if self.fault.take().is_some() && self.inactive.ended().is_some_and(|ended| ended.is_logged) {
            tracing::info!(pool = %self.pool, "The pool is active again");
        }
        let none = BackendSet::empty();
        let before = self.in_force.as_ref();
        if before.is_none_or(|before| !Arc::ptr_eq(&before.decision, &desired.decision)) {
            log_rows(&self.pool, &desired.decision);
        }
        let change = match reconcile(before.map_or(&none, |before| &before.backends), &desired.backends) {
            Action::Apply(change) => Some((change.added.len(), change.removed.len(), change.updated.len())),
            _ => self.is_new.then_some((0, 0, 0)),
        };
        if let Some((added, removed, updated)) = change {
            tracing::info!(
                pool = %self.pool,
                revision = %applied.revision,
                took_ms = u64::try_from(applied.took.as_millis()).unwrap_or(u64::MAX),
                backends = desired.backends.len(),
                added,
                removed,
                updated,
                failed_attempts,
                traefik = %applied.version,
                "Updated"
            );
        }
        self.in_force = Some(desired.clone());
        self.is_new = false;
    }

    /// Logs the summaries that are due.
    pub(super) fn sum_up(&mut self, now: Instant) {
        let pool = &self.pool;
        for sum in self.stale.summaries(now) {
            let (error, kind, times, seconds, ongoing) = (sum.text, sum.kind, sum.times, sum.seconds, sum.is_ongoing);
            tracing::warn!(%pool, error, kind, times, ongoing, "Discovery is stale: repeated {times} times in {seconds} s");
        }
        for sum in self.uncounted.summaries(now) {
            let (error, times, seconds, ongoing) = (sum.text, sum.times, sum.seconds, sum.is_ongoing);
            tracing::warn!(%pool, error, times, ongoing, "Connections cannot be counted: repeated {times} times in {seconds} s");
        }
        for sum in self.undescribed.summaries(now) {
            let (error, times, seconds, ongoing) = (sum.text, sum.times, sum.seconds, sum.is_ongoing);
            tracing::warn!(%pool, error, times, ongoing, "Connections cannot be described: repeated {times} times in {seconds} s");
        }
        for sum in self.unprobed.summaries(now) {
            let (cause, times, seconds, ongoing) = (sum.text, sum.times, sum.seconds, sum.is_ongoing);
            tracing::warn!(%pool, cause, times, ongoing, "Backends cannot be probed from here: repeated {times} times in {seconds} s");
        }
        for sum in self.inactive.summaries(now) {
            let (error, kind, times, seconds, ongoing) = (sum.text, sum.kind, sum.times, sum.seconds, sum.is_ongoing);
            tracing::error!(%pool, error, kind, times, ongoing, "A pool is not active: repeated {times} times in {seconds} s");
        }
        for (backend, trouble) in &mut self.misfits {
            for sum in trouble.summaries(now) {
                let (evidence, kind, times, seconds, ongoing) =
                    (sum.text, sum.kind, sum.times, sum.seconds, sum.is_ongoing);
                tracing::warn!(%pool, %backend, evidence, times, ongoing, "{kind}: repeated {times} times in {seconds} s");
            }
        }
        self.misfits.retain(|_, trouble| !trouble.is_forgotten());
    }
}

/// Logs the counts that a plan was made from, and the weight that it gives to each backend.
fn log_rows(pool: &Name, decision: &Decision) {
    if decision.method == Method::LeastConnections && tracing::enabled!(tracing::Level::DEBUG) {
        let backends = decision.rows.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        tracing::debug!(%pool, reason = %decision.reason, backends, "Balanced");
    }
}
