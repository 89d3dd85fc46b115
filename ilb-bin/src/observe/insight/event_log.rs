//! The events of the last day: what happened to pools, backends, Traefik and the settings, in a bounded list.

pub(super) mod record;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use ilb_discovery::{Backend, PodRef};
use tokio::time::Instant;

use super::words::{EventKind, Severity};

/// The events of the last day, oldest first. A copy shares all of them.
///
/// Memory: at most [`MAX_EVENTS`](Self::MAX_EVENTS) of some 300 bytes each, 600 KB in all.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventLog {
    events: Arc<VecDeque<Arc<LoggedEvent>>>,
    /// Number of the newest event.
    newest: u64,
}

/// An event, and how often it has happened in a row of equal ones.
#[derive(Clone, Debug)]
pub(crate) struct LoggedEvent {
    /// Number, which rises with time. A repetition gets another one.
    pub(crate) number: u64,
    /// Number of the first of the occurrences, which stays.
    pub(crate) first_number: u64,
    /// Time of the last occurrence, by the clock of this machine.
    pub(crate) time: SystemTime,
    /// Moment of the last occurrence.
    pub(crate) at: Instant,
    /// Moment of the first of the occurrences that are one entry.
    pub(crate) first: Instant,
    /// Number of occurrences.
    pub(crate) times: u64,
    pub(crate) draft: Draft,
}

/// An event before it is in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) kind: EventKind,
    pub(crate) severity: Severity,
    pub(crate) pool: Option<Arc<str>>,
    pub(crate) backend: Option<SocketAddr>,
    pub(crate) pod: Option<Arc<PodRef>>,
    /// Sentence that says what happened.
    pub(crate) text: String,
    /// Part of the text by which a repetition is recognized; `None` for all of it.
    pub(crate) gist: Option<Box<str>>,
}

impl EventLog {
    /// Maximum number of events that are kept.
    pub(crate) const MAX_EVENTS: usize = 2_000;

    /// Time for which events are kept.
    pub(crate) const MAX_AGE: Duration = Duration::from_secs(24 * 3_600);

    /// Number of the newest events among which a repetition is looked for.
    const REPETITION_DEPTH: usize = 128;

    /// Time after an event within which it is repeated rather than a new one.
    const REPETITION_TIME: Duration = Duration::from_secs(300);

    /// Adds an event. One that repeats a recent one takes its place, so that what comes and goes again and again displaces
    /// nothing else.
    #[allow(clippy::disallowed_methods, reason = "the time is only shown")]
    pub(super) fn add(&mut self, draft: Draft, now: Instant) {
        self.newest += 1;
        let events = Arc::make_mut(&mut self.events);
        let is_repeated = |event: &Arc<LoggedEvent>| {
            event.draft.is_like(&draft) && now.saturating_duration_since(event.at) < Self::REPETITION_TIME
        };
        let from = events.len().saturating_sub(Self::REPETITION_DEPTH);
        let before = events.iter().skip(from).rposition(is_repeated).and_then(|index| events.remove(from + index));
        let (number, time) = (self.newest, SystemTime::now());
        let (first_number, first, times) =
            before.map_or((number, now, 1), |before| (before.first_number, before.first, before.times + 1));
        let event = LoggedEvent { number, first_number, time, at: now, first, times, draft };
        events.push_back(Arc::new(event));
        if events.len() > Self::MAX_EVENTS {
            events.pop_front();
        }
    }

    /// Forgets the events that are too old.
    pub(super) fn forget_old(&mut self, now: Instant) {
        let is_old = |event: &Arc<LoggedEvent>| now.saturating_duration_since(event.at) > Self::MAX_AGE;
        while self.events.front().is_some_and(is_old) {
            Arc::make_mut(&mut self.events).pop_front();
        }
    }

    /// Returns the number of the newest event; 0 before the first.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }

    /// Iterates over the events, newest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<LoggedEvent>> {
        self.events.iter().rev()
    }
}

impl Draft {
    /// Creates an event that concerns neither a pool nor a backend.
    pub(super) fn new(kind: EventKind, severity: Severity, text: impl Into<String>) -> Self {
        Self { kind, severity, pool: None, backend: None, pod: None, text: text.into(), gist: None }
    }

    /// Sets the pool.
    pub(super) fn of_pool(self, pool: &str) -> Self {
        Self { pool: Some(pool.into()), ..self }
    }

    /// Sets the backend.
    pub(super) fn of_backend(self, backend: &Backend) -> Self {
        Self { backend: Some(backend.address()), pod: backend.pod().cloned(), ..self }
    }

    /// Sets what a repetition has in common with it, where a number or the wording of an error may differ.
    pub(super) fn with_gist(self, gist: impl Into<Box<str>>) -> Self {
        Self { gist: Some(gist.into()), ..self }
    }

    fn gist(&self) -> &str {
        self.gist.as_deref().unwrap_or(&self.text)
    }

    /// Returns whether both are about the same thing.
    fn is_like(&self, other: &Self) -> bool {
        let about = |draft: &Self| (draft.kind, draft.severity, draft.backend);
        about(self) == about(other)
            && self.pool == other.pool
            && self.pod == other.pod
            && (self.backend.is_some() || self.gist() == other.gist())
    }
}
