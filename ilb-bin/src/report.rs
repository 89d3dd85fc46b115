use ilb_discovery::{BackendSet, State};
use ilb_reconciler::{Action, Decision};
use ilb_traefik_client::Applied;

use tokio::time::Instant;

use crate::{balancing::Choice, repeats::Repeats};

/// Tells a person what happens: one line per change of state, none per attempt. What goes on being wrong is summed up
/// once a minute.
#[derive(Debug, Default)]
pub(crate) struct Report {
    stale: Option<Repeats>,
    without_backend: bool,
    failing: Option<Failing>,
}

#[derive(Debug)]
struct Failing {
    attempts: u64,
    repeats: Repeats,
}

impl Report {
    /// A set was discovered that differs from the one before, or the view of it is fresh again.
    pub(crate) fn found(&mut self, set: &BackendSet, changed: bool) {
        if self.stale.take().is_some() {
            tracing::info!("Discovery is up to date again");
        }
        if changed {
            tracing::info!(
                ready = set.count(State::Ready),
                draining = set.count(State::Draining),
                not_ready = set.count(State::NotReady),
                "Found pods"
            );
        }
        let without_backend = set.count(State::Ready) == 0;
        if without_backend && !self.without_backend {
            tracing::warn!("No pod is ready: new connections are closed at once until one is");
        }
        self.without_backend = without_backend;
    }

    /// Discovery cannot see changes for the time being.
    pub(crate) fn stale(&mut self, error: &ilb_discovery::Error) {
        let (kind, now) = (error.kind(), Instant::now());
        match &mut self.stale {
            Some(repeats) if repeats.of == kind => {
                if let Some((times, seconds)) = repeats.again(now) {
                    tracing::warn!(%error, kind, times, "Discovery is stale: the same {times} times in {seconds} s");
                }
            }
            stale => {
                *stale = Some(Repeats::new(kind, now));
                tracing::warn!(%error, kind, "Discovery is stale: keeping the backends seen last");
            }
        }
    }

    /// A push is proved to be in force.
    pub(crate) fn updated(&mut self, applied: &Applied, action: &Action, backends: usize, choice: &Choice) {
        if let Choice::LeastConnections(decision) = choice {
            explain(decision);
            if decision.reason.is_load() && self.failing.is_none() && matches!(action, Action::Noop) {
                return; // many a second: no news for a person
            }
        }
        let failed_attempts = self.failing.take().map_or(0, |f| f.attempts);
        let (added, removed, updated) = match action {
            Action::Apply(change) => (change.added.len(), change.removed.len(), change.updated.len()),
            _ => (0, 0, 0),
        };
        tracing::info!(
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

    /// A push failed, and will be repeated.
    pub(crate) fn failed(&mut self, error: &ilb_traefik_client::Error) {
        let (kind, now) = (error.kind(), Instant::now());
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
    pub(crate) fn lost(error: &ilb_traefik_client::Error) {
        tracing::warn!(%error, "Traefik's configuration is not proved any more: updating again");
    }

    /// The end, on request.
    pub(crate) fn stopping(signal: &str) {
        tracing::info!(signal, "Stopping: Traefik and all connections stay as they are");
    }
}

/// What was known of each backend when a plan was made, and what it got.
fn explain(decision: &Decision) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        let backends = decision.rows.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        tracing::debug!(reason = %decision.reason, backends, "Balanced");
    }
}
