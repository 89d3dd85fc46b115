//! The facts of Traefik and of the pushes to it.
//!
//! They repeat what the loop's events report, for readers. What is desired and in force is decided from `Pushes` in the
//! loop, never from here.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use ilb_traefik_client::{Applied, Error, fleet::InstanceState, process::StartDate};
use prometheus_client::metrics::histogram::Histogram;
use tokio::time::Instant;

use super::{
    problem::OngoingProblem,
    push_rate::PushRate,
    words::{Operation, PushReason, PushResult, PushState, TraefikState},
};

/// Facts about Traefik and the pushes to it.
#[derive(Clone, Debug)]
pub(crate) struct TraefikFacts {
    /// The proof of the last push; `None` while no configuration is proved to be in force.
    pub(crate) proof: Option<Proof>,
    /// The process that was configured last.
    pub(crate) process: Option<Applied>,
    /// The current problem with pushes or proofs.
    pub(crate) problem: Option<OngoingProblem>,
    /// True while all failures are those that a Traefik that is still starting brings about.
    is_start: bool,
    /// True while another program keeps replacing the configuration.
    pub(crate) has_rival: bool,
    /// Instances of a fleet, by host and port.
    pub(crate) instances: BTreeMap<String, InstanceFacts>,
    /// Starts of the processes that were configured last, by host and port.
    processes: BTreeMap<Option<String>, StartDate>,
    in_flight: Option<PushInFlight>,
    /// The last [`MAX_REMEMBERED_PUSHES`] pushes, oldest first.
    pub(crate) finished: VecDeque<FinishedPush>,
    /// Pushes of the last minute.
    pub(crate) rate: PushRate,
    pub(crate) pushes: BTreeMap<(PushReason, PushResult), u64>,
    /// Failed pushes and lost proofs, by the kind of the error.
    pub(crate) errors: BTreeMap<(Operation, &'static str), u64>,
    pub(crate) restarts: u64,
    /// Seconds that successful pushes took.
    pub(crate) success_durations: Histogram,
    /// Seconds that failed pushes took.
    pub(crate) failure_durations: Histogram,
}

/// Facts about one instance of a fleet.
#[derive(Clone, Debug)]
pub(crate) struct InstanceFacts {
    pub(crate) state: InstanceState,
    /// The current problem with the instance.
    pub(crate) problem: Option<OngoingProblem>,
}

/// Proof that a configuration is in force.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    /// The moment since which there has always been a configuration in force.
    pub(crate) since: Instant,
    /// The moment of the last verification.
    pub(crate) at: Instant,
}

/// A push that has not ended yet.
#[derive(Clone, Debug)]
struct PushInFlight {
    reason: PushReason,
    entries: usize,
    begun: Instant,
}

/// A push that has ended.
#[derive(Clone, Debug)]
pub(crate) struct FinishedPush {
    pub(crate) ended: Instant,
    pub(crate) took: Duration,
    pub(crate) reason: PushReason,
    pub(crate) result: PushResult,
    /// Number of entries in the plans of all pools.
    pub(crate) entries: usize,
    pub(crate) error: Option<String>,
}

/// Number of finished pushes that are remembered.
const MAX_REMEMBERED_PUSHES: usize = 20;

/// Maximum age of a proof. It is repeated twice a second and each attempt is limited in time, so an older one means that
/// something hangs.
const MAX_PROOF_AGE: Duration = Duration::from_secs(15);

/// Bounds of the histograms' buckets, in seconds: a push takes 3 ms without throttle, 2 s and more with Traefik's default.
const DURATION_BUCKETS: [f64; 11] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// Creates a histogram of durations in seconds.
pub(super) fn duration_histogram() -> Histogram {
    Histogram::new(DURATION_BUCKETS)
}

impl Default for TraefikFacts {
    fn default() -> Self {
        Self {
            proof: None,
            process: None,
            problem: None,
            is_start: true,
            has_rival: false,
            instances: BTreeMap::new(),
            processes: BTreeMap::new(),
            in_flight: None,
            finished: VecDeque::new(),
            rate: PushRate::default(),
            pushes: BTreeMap::new(),
            errors: BTreeMap::new(),
            restarts: 0,
            success_durations: duration_histogram(),
            failure_durations: duration_histogram(),
        }
    }
}

impl InstanceFacts {
    /// Returns whether the instance has the whole configuration in force.
    pub(crate) fn is_in_force(&self) -> bool {
        self.degraded().is_none()
    }

    /// Returns what is wrong with the instance.
    pub(crate) fn degraded(&self) -> Option<String> {
        let InstanceState { applied, has_rival, .. } = &self.state;
        match (&self.problem, applied) {
            _ if *has_rival => Some("another program keeps replacing its configuration".to_owned()),
            (Some(problem), _) => Some(problem.text.clone()),
            (None, None) => Some("it has not been configured yet".to_owned()),
            (None, Some(applied)) if applied.faults.is_empty() => None,
            (None, Some(applied)) => {
                let faults: Vec<_> =
                    applied.faults.iter().map(|(pool, error)| format!("pool {pool}: {error}")).collect();
                Some(faults.join("; "))
            }
        }
    }
}

impl TraefikFacts {
    /// Time for Traefik to start, in which failed attempts are no failures, from the first one on. A kubelet starts a
    /// container within seconds.
    pub(crate) const STARTUP_TIME: Duration = Duration::from_secs(10);

    /// Returns whether an error is what a Traefik that is still starting brings about.
    pub(crate) fn is_of_start(error: &Error) -> bool {
        matches!(error, Error::Unreachable { .. } | Error::NotReady(_))
    }

    /// Returns whether no Traefik has been configured yet and it may still be starting. `is_early` is whether the first
    /// attempt may be yet to come.
    pub(crate) fn is_awaited(&self, is_early: bool, now: Instant) -> bool {
        let is_fresh = |problem: &OngoingProblem| {
            self.is_start && now.saturating_duration_since(problem.since) < Self::STARTUP_TIME
        };
        self.process.is_none() && !self.has_rival && self.problem.as_ref().map_or(is_early, is_fresh)
    }

    pub(super) fn push_started(&mut self, reason: PushReason, entries: usize, now: Instant) {
        self.in_flight = Some(PushInFlight { reason, entries, begun: now });
    }

    pub(super) fn pushed(&mut self, applied: &Applied, now: Instant) {
        let faults: Vec<_> = applied.faults.iter().map(|(pool, error)| format!("pool {pool}: {error}")).collect();
        let (result, error) =
            if faults.is_empty() { (PushResult::InForce, None) } else { (PushResult::Partly, Some(faults.join("; "))) };
        self.finish(result, error, now);
        self.saw_process(applied);
        applied
            .others
            .iter()
            .filter_map(|(_, outcome)| outcome.as_ref().ok())
            .for_each(|other| self.saw_process(other));
        self.process = Some(applied.clone());
        let since = self.proof.as_ref().map_or(now, |proof| proof.since);
        self.proof = Some(Proof { since, at: now });
        self.problem = None;
    }

    pub(super) fn push_failed(&mut self, error: &Error, now: Instant) {
        self.finish(PushResult::Failed, Some(error.to_string()), now);
        self.failed(Operation::Push, error, now);
    }

    pub(super) fn proof_held(&mut self, now: Instant) {
        if let Some(proof) = &mut self.proof {
            proof.at = now;
        }
    }

    pub(super) fn proof_lost(&mut self, error: &Error, now: Instant) {
        self.failed(Operation::Proof, error, now);
    }

    pub(super) fn instance_changed(&mut self, instance: &str, state: Option<&InstanceState>, now: Instant) {
        let before = self.instances.remove(instance);
        let Some(state) = state else {
            self.processes.remove(&Some(instance.to_owned()));
            return;
        };
        if let Some(applied) = &state.applied {
            self.saw_process(applied);
        }
        let problem = state.error.as_ref().map(|error| {
            OngoingProblem::after(before.and_then(|before| before.problem), error.kind(), error.to_string(), now)
        });
        self.instances.insert(instance.to_owned(), InstanceFacts { state: state.clone(), problem });
    }

    /// Returns whether this is another process at the address of one that was configured before.
    pub(super) fn is_restart(&self, applied: &Applied) -> bool {
        self.processes.get(&applied.instance).is_some_and(|before| *before != applied.started)
    }

    /// Takes in the process of one Traefik. Another one at the same address is a restart; the first one there is not.
    fn saw_process(&mut self, applied: &Applied) {
        self.restarts += u64::from(self.is_restart(applied));
        self.processes.insert(applied.instance.clone(), applied.started.clone());
    }

    /// Returns why no configuration is proved to be in force now, or `None` if one is.
    pub(crate) fn not_proved(&self, now: Instant) -> Option<String> {
        match (&self.proof, &self.problem) {
            _ if self.has_rival => Some("another program keeps replacing the configuration of this Traefik".to_owned()),
            (Some(proof), _) if now.saturating_duration_since(proof.at) <= MAX_PROOF_AGE => None,
            (Some(_), _) => {
                Some(format!("the configuration was last verified more than {} s ago", MAX_PROOF_AGE.as_secs()))
            }
            (None, Some(problem)) => Some(problem.text.clone()),
            (None, None) => Some("nothing has been pushed yet".to_owned()),
        }
    }

    pub(crate) fn state(&self) -> TraefikState {
        match (&self.problem, &self.in_flight, &self.proof) {
            _ if self.has_rival => TraefikState::Failing,
            (Some(_), ..) => TraefikState::Failing,
            (None, Some(_), _) => TraefikState::Updating,
            (None, None, Some(_)) => TraefikState::InForce,
            (None, None, None) => TraefikState::Waiting,
        }
    }

    pub(crate) fn push_state(&self) -> PushState {
        match (&self.problem, &self.in_flight) {
            (None, _) => PushState::Idle,
            (Some(_), Some(_)) => PushState::Retrying,
            (Some(_), None) => PushState::Waiting,
        }
    }

    fn failed(&mut self, operation: Operation, error: &Error, now: Instant) {
        self.proof = None;
        self.is_start &= Self::is_of_start(error);
        *self.errors.entry((operation, error.kind())).or_default() += 1;
        self.problem = Some(OngoingProblem::after(self.problem.take(), error.kind(), error.to_string(), now));
    }

    fn finish(&mut self, result: PushResult, error: Option<String>, now: Instant) {
        let Some(PushInFlight { reason, entries, begun }) = self.in_flight.take() else { return };
        *self.pushes.entry((reason, result)).or_default() += 1;
        self.rate.add(reason, now);
        // Equal failures in a row are one entry, or they would displace all others.
        let is_repeated =
            |last: &FinishedPush| result == PushResult::Failed && last.result == result && last.error == error;
        if self.finished.back().is_some_and(is_repeated) {
            self.finished.pop_back();
        } else if self.finished.len() == MAX_REMEMBERED_PUSHES {
            self.finished.pop_front();
        }
        let took = now.saturating_duration_since(begun);
        let durations = if result == PushResult::Failed { &self.failure_durations } else { &self.success_durations };
        durations.observe(took.as_secs_f64());
        self.finished.push_back(FinishedPush { ended: now, took, reason, result, entries, error });
    }
}
