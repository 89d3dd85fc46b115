//! A Traefik of a fleet, with the task that keeps its configuration in force.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep_until},
};

use crate::{
    Applied, ConfigSink, Configuration, Error, Member, Name,
    breaker::{Breaker, BreakerState},
    rivalry::Rivalry,
};

/// The configuration that each instance should have in force.
#[derive(Clone)]
pub(super) struct Desired {
    /// Number that grows with each configuration that differs from the one before.
    pub(super) generation: u64,
    pub(super) configuration: Arc<Configuration>,
}

/// A Traefik of a fleet, and the handle of its task.
pub(super) struct Instance {
    pub(super) label: String,
    sink: Arc<dyn ConfigSink>,
    state: watch::Receiver<InstanceState>,
    /// True if it could not be asked for its pools, and has not been configured since.
    is_unasked: Arc<AtomicBool>,
    _task: Task,
}

/// State of one instance of a fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstanceState {
    /// State of its circuit breaker.
    pub breaker: BreakerState,
    /// Proof of the configuration in force.
    pub applied: Option<Applied>,
    /// Error of the latest attempt or check; `None` after a success.
    pub error: Option<Error>,
    /// True while another client keeps replacing the configuration.
    pub has_rival: bool,
    /// True while the instance is not configured yet because it has pools that the configuration lacks:
    /// [`pools_in_force`](ConfigSink::pools_in_force) returns them.
    pub has_more_pools: bool,
    /// Generation of the latest configuration that was tried.
    tried: u64,
}

/// A task that is aborted when its owner is dropped.
pub(super) struct Task(AbortHandle);

impl Task {
    pub(super) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(work).abort_handle())
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Properties that the instances of a fleet share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) desired: watch::Receiver<Option<Desired>>,
    /// Notified of each change of a state.
    pub(super) changes: Arc<watch::Sender<()>>,
    pub(super) check_every: Duration,
}

impl Instance {
    pub(super) fn start(label: String, sink: Arc<dyn ConfigSink>, shared: Shared) -> Self {
        let (published, state) = watch::channel(InstanceState::new(None));
        let is_unasked = Arc::new(AtomicBool::new(false));
        let keeper = Keeper {
            sink: sink.clone(),
            is_unasked: Arc::clone(&is_unasked),
            shared,
            published,
            breaker: Breaker::new(),
            rivalry: Rivalry::new(),
            not_before: None,
            faults: None,
        };
        Self { label, sink, state, is_unasked, _task: Task::spawn(keeper.run()) }
    }

    pub(super) fn state(&self) -> InstanceState {
        self.state.borrow().clone()
    }

    /// Returns whether all configurations up to `generation` have been tried, and the last one succeeded.
    pub(super) fn has_kept_up(&self, generation: u64) -> bool {
        let state = self.state.borrow();
        state.tried >= generation && state.error.is_none()
    }

    /// Waits for the outcome of the attempt with `generation` or a later one. Returns the latest error at once while the
    /// instance is left alone.
    pub(super) async fn outcome_of(&self, generation: u64) -> (String, Result<Applied, Error>) {
        let is_known = |state: &InstanceState| state.tried >= generation || state.is_left_alone();
        let outcome = match self.state.clone().wait_for(is_known).await {
            Ok(state) => state.outcome(),
            Err(_) => Err(Error::unreachable("its task has ended")),
        };
        (self.label.clone(), outcome)
    }

    /// Checks that the configuration of `generation` or a later one is still in force, and returns its proof.
    pub(super) async fn verify(&self, generation: u64) -> Result<Applied, Error> {
        let state = self.state();
        let applied = state.outcome()?;
        if state.tried < generation {
            return Err(Error::Overwritten(applied.revision));
        }
        self.sink.verify(&applied).await.map(|()| applied)
    }

    /// Returns the members of each pool that is in force. An instance that cannot be asked now is asked before it is
    /// configured.
    pub(super) async fn pools_in_force(&self) -> Result<BTreeMap<Name, Vec<Member>>, Error> {
        let answer = self.sink.pools_in_force().await;
        self.is_unasked.store(answer.as_ref().is_err_and(Error::is_retryable), Ordering::Relaxed);
        answer
    }
}

impl InstanceState {
    /// Creates the state of an instance without a rival, after an attempt with this outcome or before the first one.
    pub fn new(outcome: Option<Result<Applied, Error>>) -> Self {
        let (applied, error) = match outcome {
            None => (None, None),
            Some(Ok(applied)) => (Some(applied), None),
            Some(Err(error)) => (None, Some(error)),
        };
        Self { breaker: BreakerState::Closed, applied, error, has_rival: false, has_more_pools: false, tried: 0 }
    }

    /// Returns the proof of the configuration in force, or the reason why there is none. What a rival may replace at any
    /// moment is not in force.
    pub(super) fn outcome(&self) -> Result<Applied, Error> {
        match (&self.applied, &self.error) {
            (Some(applied), None) if self.has_rival => Err(Error::Overwritten(applied.revision.clone())),
            (Some(applied), None) => Ok(applied.clone()),
            (_, Some(error)) => Err(error.clone()),
            (None, None) => Err(Error::unreachable("it has not been tried yet")),
        }
    }

    fn is_left_alone(&self) -> bool {
        self.has_rival || self.has_more_pools || matches!(self.breaker, BreakerState::Open { .. })
    }
}

/// Time for which an instance with pools that the configuration lacks is not configured, unless they are added before.
const TIME_TO_ADD_POOLS: Duration = Duration::from_secs(3);

/// State of an instance's task.
struct Keeper {
    sink: Arc<dyn ConfigSink>,
    is_unasked: Arc<AtomicBool>,
    shared: Shared,
    published: watch::Sender<InstanceState>,
    breaker: Breaker,
    rivalry: Rivalry,
    /// End of the pause because of a rival, or of pools that the configuration lacks.
    not_before: Option<Instant>,
    /// Repetitions that find out whether the faults of some routers are gone; `None` without faults.
    faults: Option<Repetition>,
}

/// The next repetition of a configuration that has faults, and the pauses after it.
struct Repetition {
    at: Instant,
    pauses: ExponentialBackoff,
}

impl Keeper {
    /// Applies the desired configuration until it is in force, and then checks it again and again.
    async fn run(mut self) {
        let (mut latest, mut is_in_force) = (None, true);
        // An instance that joins later starts with the configuration that is desired already.
        self.shared.desired.mark_changed();
        loop {
            if self.shared.desired.has_changed().unwrap_or(false)
                && let Some(desired) = self.shared.desired.borrow_and_update().clone()
            {
                (latest, is_in_force) = (Some(desired), false);
                self.breaker.skip_pause();
                if self.published.borrow().has_more_pools {
                    self.not_before = None;
                }
            }
            let now = Instant::now();
            match (&latest, self.paused_until(now)) {
                (Some(desired), None) if !is_in_force || self.is_repetition_due(now) => {
                    is_in_force = self.attempt(desired).await;
                }
                (Some(_), Some(until)) if !is_in_force => self.wait_until(until).await,
                _ => {
                    self.wait_until(now + self.shared.check_every).await;
                    is_in_force = self.is_still_in_force().await;
                }
            }
        }
    }

    fn paused_until(&self, now: Instant) -> Option<Instant> {
        let by_breaker = self.breaker.paused_until(now.into_std()).map(Instant::from_std);
        by_breaker.max(self.not_before.filter(|until| *until > now))
    }

    fn is_repetition_due(&self, now: Instant) -> bool {
        self.faults.as_ref().is_some_and(|repetition| repetition.at <= now)
    }

    /// Asks an instance that could not be asked before which pools it has, and returns whether it may be configured now.
    ///
    /// It may serve a pool that this process knows nothing of since its restart, and that no other instance has. So its
    /// first configuration waits for a while, in which that pool can be added to the configuration.
    async fn asks_first(&mut self, desired: &Desired) -> bool {
        let answer = self.sink.pools_in_force().await;
        let now = Instant::now();
        let (error, has_more_pools) = match answer {
            Err(error) if error.is_retryable() => {
                self.breaker.failed(now.into_std());
                (Some(error), false)
            }
            answer => {
                self.is_unasked.store(false, Ordering::Relaxed);
                let has = |name: &Name| desired.configuration.tcp.routers.contains_key(name);
                // Where the question cannot be answered, nothing can be kept.
                if answer.map_or(true, |pools| pools.keys().all(has)) {
                    return true;
                }
                self.not_before = Some(now + TIME_TO_ADD_POOLS);
                (self.published.borrow().error.clone(), true)
            }
        };
        let breaker = self.breaker.state(now.into_std());
        let before = self.published.borrow().clone();
        self.publish(InstanceState { breaker, applied: None, error, has_more_pools, ..before });
        false
    }

    /// Applies `desired` once, and returns whether that succeeded.
    async fn attempt(&mut self, desired: &Desired) -> bool {
        if self.is_unasked.load(Ordering::Relaxed) && !self.asks_first(desired).await {
            return false;
        }
        let outcome = self.sink.apply(&desired.configuration).await;
        let now = Instant::now();
        match &outcome {
            Ok(_) => self.breaker.succeeded(),
            Err(Error::Overwritten(_)) => self.replaced(now),
            Err(_) => self.breaker.failed(now.into_std()),
        }
        let has_faults = outcome.as_ref().is_ok_and(|applied| !applied.faults.is_empty());
        self.faults = has_faults.then(|| Repetition::after(self.faults.take(), now));
        let (applied, error) = outcome.map_or_else(|e| (None, Some(e)), |applied| (Some(applied), None));
        let succeeded = applied.is_some();
        let breaker = self.breaker.state(now.into_std());
        let has_rival = self.rivalry.has_rival(now.into_std());
        let tried = desired.generation;
        self.publish(InstanceState { breaker, applied, error, has_rival, has_more_pools: false, tried });
        succeeded
    }

    /// Returns false if the latest proof is not valid any more, or cannot be checked.
    async fn is_still_in_force(&mut self) -> bool {
        let state = self.published.borrow().clone();
        let Some(applied) = &state.applied else { return true };
        let outcome = self.sink.verify(applied).await;
        if let Err(error) = &outcome {
            tracing::debug!(traefik = applied.instance, %error, "a check failed");
        }
        let now = Instant::now();
        if matches!(outcome, Err(Error::Overwritten(_))) {
            self.replaced(now);
        }
        let has_rival = self.rivalry.has_rival(now.into_std());
        match outcome {
            Ok(()) => {
                self.publish(InstanceState { has_rival, ..state });
                true
            }
            Err(error) => {
                self.publish(InstanceState { applied: None, error: Some(error), has_rival, ..state });
                false
            }
        }
    }

    fn replaced(&mut self, now: Instant) {
        self.not_before = self.rivalry.replaced(now.into_std()).map(Instant::from_std);
    }

    fn publish(&self, state: InstanceState) {
        let has_changed = self.published.send_if_modified(|published| {
            let differs = *published != state;
            *published = state;
            differs
        });
        if has_changed {
            self.shared.changes.send_replace(());
        }
    }

    /// Waits until `moment`, or less if another configuration is desired.
    async fn wait_until(&mut self, moment: Instant) {
        tokio::select! {
            // An error means that the fleet was dropped; this task is about to be aborted, too.
            Ok(()) = self.shared.desired.changed() => self.shared.desired.mark_changed(),
            () = sleep_until(moment) => {}
        }
    }
}

impl Repetition {
    const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
    const LONGEST_PAUSE: Duration = Duration::from_secs(60);

    /// Returns the repetition that follows `before`.
    fn after(before: Option<Self>, now: Instant) -> Self {
        let mut pauses = before.map_or_else(pauses, |before| before.pauses);
        // The sequence has no end; if it had one, the longest pause would be right.
        Self { at: now + pauses.next().unwrap_or(Self::LONGEST_PAUSE), pauses }
    }
}

fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Repetition::SHORTEST_PAUSE)
        .with_max_delay(Repetition::LONGEST_PAUSE)
        // Several clients of a fleet must not repeat in step.
        .with_jitter()
        .without_max_times()
        .build()
}
