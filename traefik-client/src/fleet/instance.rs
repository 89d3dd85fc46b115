//! A Traefik of a fleet, with the task that keeps its configuration in force.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    Applied, ConfigSink, Configuration, Error, Revision,
    breaker::{Breaker, BreakerState},
};

/// The configuration that each instance should have in force.
#[derive(Clone)]
pub(super) struct Desired {
    /// Number that grows with each call of `apply`.
    pub(super) generation: u64,
    pub(super) configuration: Arc<Configuration>,
}

/// A Traefik of a fleet, and the handle of its task.
pub(super) struct Instance {
    pub(super) label: String,
    sink: Arc<dyn ConfigSink>,
    state: watch::Receiver<InstanceState>,
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

impl Instance {
    pub(super) fn start(
        label: String,
        sink: Arc<dyn ConfigSink>,
        desired: watch::Receiver<Option<Desired>>,
        check_every: Duration,
    ) -> Self {
        let untried = InstanceState { breaker: BreakerState::Closed, applied: None, error: None, tried: 0 };
        let (published, state) = watch::channel(untried);
        let keeper = Keeper { sink: sink.clone(), desired, published, breaker: Breaker::new(), check_every };
        Self { label, sink, state, _task: Task::spawn(keeper.run()) }
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
    /// breaker is open.
    pub(super) async fn outcome_of(&self, generation: u64) -> (String, Result<Applied, Error>) {
        let is_known = |state: &InstanceState| state.tried >= generation || state.is_left_alone();
        let outcome = match self.state.clone().wait_for(is_known).await {
            Ok(state) => match (&state.applied, &state.error) {
                (Some(applied), None) => Ok(applied.clone()),
                (_, Some(error)) => Err(error.clone()),
                (None, None) => Err(Error::unreachable("it has not been tried yet")),
            },
            Err(_) => Err(Error::unreachable("its task has ended")),
        };
        (self.label.clone(), outcome)
    }

    /// Checks that `revision` is in force.
    pub(super) async fn verify(&self, revision: &Revision) -> Result<Applied, Error> {
        let InstanceState { applied, error, .. } = self.state();
        match applied {
            Some(applied) if applied.revision == *revision => self.sink.verify(&applied).await.map(|()| applied),
            _ => Err(error.unwrap_or_else(|| Error::Overwritten(revision.clone()))),
        }
    }
}

impl InstanceState {
    fn is_left_alone(&self) -> bool {
        matches!(self.breaker, BreakerState::Open { .. })
    }
}

/// State of an instance's task.
struct Keeper {
    sink: Arc<dyn ConfigSink>,
    desired: watch::Receiver<Option<Desired>>,
    published: watch::Sender<InstanceState>,
    breaker: Breaker,
    check_every: Duration,
}

impl Keeper {
    /// Applies the desired configuration until it is in force, and then checks it again and again.
    async fn run(mut self) {
        let (mut latest, mut is_in_force) = (None, true);
        // An instance that joins later starts with the configuration that is desired already.
        self.desired.mark_changed();
        loop {
            if self.desired.has_changed().unwrap_or(false)
                && let Some(desired) = self.desired.borrow_and_update().clone()
            {
                (latest, is_in_force) = (Some(desired), false);
                self.breaker.skip_pause();
            }
            match (&latest, self.breaker.paused_until(Instant::now().into_std())) {
                (Some(desired), None) if !is_in_force => is_in_force = self.attempt(desired).await,
                (Some(_), Some(until)) if !is_in_force => self.wait(sleep_until(until.into())).await,
                _ => {
                    let pause = sleep(self.check_every);
                    self.wait(pause).await;
                    is_in_force = self.is_still_in_force().await;
                }
            }
        }
    }

    /// Applies `desired` once, and returns whether that succeeded.
    async fn attempt(&mut self, desired: &Desired) -> bool {
        let outcome = self.sink.apply(&desired.configuration).await;
        let now = Instant::now().into_std();
        match &outcome {
            Ok(_) => self.breaker.succeeded(),
            Err(_) => self.breaker.failed(now),
        }
        let breaker = self.breaker.state(now);
        let (applied, error) = outcome.map_or_else(|e| (None, Some(e)), |applied| (Some(applied), None));
        let succeeded = applied.is_some();
        self.published.send_replace(InstanceState { breaker, applied, error, tried: desired.generation });
        succeeded
    }

    /// Returns false if the latest proof is not valid any more, or cannot be checked.
    async fn is_still_in_force(&self) -> bool {
        let applied = self.published.borrow().applied.clone();
        let Some(applied) = applied else { return true };
        let Err(error) = self.sink.verify(&applied).await else { return true };
        tracing::info!(traefik = applied.instance, %error, "a check failed: applying again");
        self.published.send_modify(|state| (state.applied, state.error) = (None, Some(error)));
        false
    }

    /// Waits for the end of the `pause`, or less if another configuration is desired.
    async fn wait(&mut self, pause: tokio::time::Sleep) {
        tokio::select! {
            // An error means that the fleet was dropped; this task is about to be aborted, too.
            Ok(()) = self.desired.changed() => self.desired.mark_changed(),
            () = pause => {}
        }
    }
}
