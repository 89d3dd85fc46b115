use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep, sleep_until},
};

use crate::{Applied, Breaker, BreakerState, ConfigSink, Configuration, Error, Next, Revision};

/// The latest configuration and its number.
pub(super) type Wish = Option<(u64, Arc<Configuration>)>;

/// One Traefik of a fleet, with the task that keeps it right.
pub(super) struct Instance {
    pub(super) label: String,
    sink: Arc<dyn ConfigSink>,
    state: watch::Receiver<InstanceState>,
    _task: Task,
}

/// What is known of one instance.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstanceState {
    /// What its circuit breaker thinks of it.
    pub breaker: BreakerState,
    /// What is proved to be in force there.
    pub applied: Option<Applied>,
    /// Why the latest attempt or check failed, until one succeeds.
    pub error: Option<Error>,
    /// The number of the latest configuration that an attempt was made with.
    tried: u64,
}

/// A task that ends with its owner.
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
        wishes: watch::Receiver<Wish>,
        check_every: Duration,
    ) -> Self {
        let nothing = InstanceState { breaker: BreakerState::Closed, applied: None, error: None, tried: 0 };
        let (published, state) = watch::channel(nothing);
        let keeper = Keeper { sink: sink.clone(), wishes, published, breaker: Breaker::new(), check_every };
        Self { label, sink, state, _task: Task::spawn(keeper.run()) }
    }

    pub(super) fn state(&self) -> InstanceState {
        self.state.borrow().clone()
    }

    /// Whether everything up to configuration number `generation` has been tried, the last one with success.
    pub(super) fn has_kept_up(&self, generation: u64) -> bool {
        let state = self.state.borrow();
        state.tried >= generation && state.error.is_none()
    }

    /// The outcome of the attempt with configuration number `generation` or a later one, or at once the reason why there
    /// is none for now.
    pub(super) async fn outcome_of(&self, generation: u64) -> (String, Result<Applied, Error>) {
        let over = |state: &InstanceState| state.tried >= generation || state.is_left_alone();
        let outcome = match self.state.clone().wait_for(over).await {
            Ok(state) => match (&state.applied, &state.error) {
                (Some(applied), None) => Ok(applied.clone()),
                (_, Some(error)) => Err(error.clone()),
                (None, None) => Err(Error::unreachable("it has not been tried yet")),
            },
            Err(_) => Err(Error::unreachable("its task has ended")),
        };
        (self.label.clone(), outcome)
    }

    /// Whether `revision` is in force there now.
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

/// The task of an instance.
struct Keeper {
    sink: Arc<dyn ConfigSink>,
    wishes: watch::Receiver<Wish>,
    published: watch::Sender<InstanceState>,
    breaker: Breaker<(u64, Arc<Configuration>)>,
    check_every: Duration,
}

impl Keeper {
    async fn run(mut self) {
        let mut last = None;
        // What was wished before this instance came is its first wish.
        self.wishes.mark_changed();
        loop {
            if self.wishes.has_changed().unwrap_or(false)
                && let Some(wish) = self.wishes.borrow_and_update().clone()
            {
                self.breaker.wish(wish.clone());
                last = Some(wish);
            }
            match self.breaker.next(Instant::now().into_std()) {
                Next::Try((generation, configuration)) => self.attempt(generation, &configuration).await,
                Next::WaitUntil(until) => self.wait(sleep_until(until.into())).await,
                Next::Idle => {
                    let pause = sleep(self.check_every);
                    self.wait(pause).await;
                    if let Some(wish) = &last
                        && self.is_lost().await
                    {
                        self.breaker.wish(wish.clone());
                    }
                }
            }
        }
    }

    async fn attempt(&mut self, generation: u64, configuration: &Configuration) {
        let outcome = self.sink.apply(configuration).await;
        let now = Instant::now().into_std();
        match &outcome {
            Ok(_) => self.breaker.succeeded(),
            Err(_) => self.breaker.failed(now),
        }
        let (applied, error) = outcome.map_or_else(|e| (None, Some(e)), |applied| (Some(applied), None));
        self.published.send_replace(InstanceState {
            breaker: self.breaker.state(now),
            applied,
            error,
            tried: generation,
        });
    }

    /// Whether what was proved does not hold any more, or that cannot be told.
    async fn is_lost(&self) -> bool {
        let applied = self.published.borrow().applied.clone();
        let Some(applied) = applied else { return false };
        let Err(error) = self.sink.verify(&applied).await else { return false };
        tracing::info!(traefik = applied.instance, %error, "a check failed: applying again");
        self.published.send_modify(|state| (state.applied, state.error) = (None, Some(error)));
        true
    }

    /// Until something is wished, at most as long as the `pause`.
    async fn wait(&mut self, pause: tokio::time::Sleep) {
        tokio::select! {
            // An error means that the fleet is gone, and this task soon with it.
            Ok(()) = self.wishes.changed() => self.wishes.mark_changed(),
            () = pause => {}
        }
    }
}
