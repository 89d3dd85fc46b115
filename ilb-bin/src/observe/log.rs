use std::time::Duration;

use ilb_discovery::{BackendSet, State};
use ilb_reconciler::{Action, Decision};
use ilb_traefik_client::{Applied, Error, Name};
use tokio::time::Instant;

use super::repeats::Repeats;
use crate::balancing::Choice;

/// Tells a person what happens with Traefik: one line per change of state, none per attempt. What goes on being wrong is
/// summed up once a minute.
#[derive(Debug)]
pub(crate) struct Report {
    start: Start,
    failing: Option<Failing>,
}

/// Beside a Traefik that starts at the same time, or later, the first attempts fail: that is no fault.
#[derive(Debug)]
enum Start {
    /// Nothing was in force yet, and until this moment nobody has to worry. So many attempts have failed.
    Waiting {
        until: Instant,
        attempts: u64,
    },
    Over,
}

/// The same for the backends of one pool.
#[derive(Debug)]
pub(crate) struct PoolReport {
    pool: Name,
    stale: Option<Repeats>,
    without_backend: bool,
}

#[derive(Debug)]
struct Failing {
    attempts: u64,
    repeats: Repeats,
}

impl PoolReport {
    pub(crate) fn of(pool: &Name) -> Self {
        Self { pool: pool.clone(), stale: None, without_backend: false }
    }

    /// A set was discovered that differs from the one before, or the view of it is fresh again.
    pub(crate) fn found(&mut self, set: &BackendSet, changed: bool) {
        if self.stale.take().is_some() {
            tracing::info!(pool = %self.pool, "Discovery is up to date again");
        }
        if changed {
            tracing::info!(
                pool = %self.pool,
                ready = set.count(State::Ready),
                draining = set.count(State::Draining),
                not_ready = set.count(State::NotReady),
                "Found pods"
            );
        }
        let without_backend = set.count(State::Ready) == 0;
        if without_backend && !self.without_backend {
            tracing::warn!(pool = %self.pool, "No pod is ready: new connections are closed at once until one is");
        }
        self.without_backend = without_backend;
    }

    /// Discovery cannot see changes for the time being.
    pub(crate) fn stale(&mut self, error: &ilb_discovery::Error) {
        let (kind, now) = (error.kind(), Instant::now());
        match &mut self.stale {
            Some(repeats) if repeats.of == kind => {
                if let Some((times, seconds)) = repeats.again(now) {
                    tracing::warn!(pool = %self.pool, %error, kind, times, "Discovery is stale: the same {times} times in {seconds} s");
                }
            }
            stale => {
                *stale = Some(Repeats::new(kind, now));
                tracing::warn!(pool = %self.pool, %error, kind, "Discovery is stale: keeping the backends seen last");
            }
        }
    }
}

impl Report {
    /// How long Traefik may take to start: a kubelet gives it its image within seconds.
    const START: Duration = Duration::from_secs(10);

    pub(crate) fn new() -> Self {
        Self { start: Start::Waiting { until: Instant::now() + Self::START, attempts: 0 }, failing: None }
    }

    /// A push is proved to be in force. `pools` tells what it changed of each pool's backends, how
    /// many there are now, and what was chosen.
    pub(crate) fn updated<'a>(
        &mut self,
        applied: &Applied,
        pools: impl Iterator<Item = (&'a Name, Action, usize, &'a Choice)>,
    ) {
        let waited = std::mem::replace(&mut self.start, Start::Over).attempts();
        let failed_attempts = self.failing.take().map_or(0, |f| f.attempts) + waited;
        for (pool, action, backends, choice) in pools {
            let mut load_only = false;
            if let Choice::LeastConnections(decision) = choice {
                explain(pool, decision);
                load_only = decision.reason.is_load();
            }
            let (added, removed, updated) = match &action {
                Action::Apply(change) => (change.added.len(), change.removed.len(), change.updated.len()),
                _ if load_only && failed_attempts == 0 => continue, // many a second: no news for a person
                _ => (0, 0, 0),
            };
            tracing::info!(
                %pool,
                revision = %applied.revision,
                took_ms = u64::try_from(applied.took.as_millis()).unwrap_or(u64::MAX),
                backends,
                added,
                removed,
                updated,
                failed_attempts,
                traefik = applied.version,
                "Updated"
            );
        }
    }

    /// A push failed, and will be repeated.
    pub(crate) fn failed(&mut self, error: &Error) {
        let (kind, now) = (error.kind(), Instant::now());
        if let Start::Waiting { until, attempts } = &mut self.start
            && now < *until
            && matches!(error, Error::Unreachable(_) | Error::NotReady(_))
        {
            *attempts += 1;
            if *attempts == 1 {
                tracing::info!(%error, kind, "Waiting for Traefik");
            }
            return;
        }
        match &mut self.failing {
            Some(failing) if failing.repeats.of == kind => {
                failing.attempts += 1;
                if let Some((times, seconds)) = failing.repeats.again(now) {
                    tracing::error!(%error, kind, times, "Failed to update: the same {times} times in {seconds} s");
                }
            }
            failing => {
                let attempts = failing.as_ref().map_or(0, |f| f.attempts) + 1;
                *failing = Some(Failing { attempts, repeats: Repeats::new(kind, now) });
                tracing::error!(%error, kind, "Failed to update");
            }
        }
    }

    /// What was in force is not any more, or that cannot be told.
    pub(crate) fn lost(error: &Error) {
        tracing::warn!(%error, "Traefik's configuration is not proved any more: updating again");
    }

    /// The end, on request.
    pub(crate) fn stopping(signal: &str) {
        tracing::info!(signal, "Stopping: Traefik and all connections stay as they are");
    }
}

impl Start {
    fn attempts(&self) -> u64 {
        match self {
            Self::Waiting { attempts, .. } => *attempts,
            Self::Over => 0,
        }
    }
}

/// What was known of each backend when a plan was made, and what it got.
fn explain(pool: &Name, decision: &Decision) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        let backends = decision.rows.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        tracing::debug!(%pool, reason = %decision.reason, backends, "Balanced");
    }
}
