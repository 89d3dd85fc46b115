use std::time::{Duration, Instant};

use ilb_discovery::{Backend, State};

use crate::{count::Count, decision::Standing, guard::Guard, ladder::LadderInput};

/// A backend and what is known of it. [`LeastConnections`](crate::LeastConnections) updates it.
#[derive(Clone, Debug)]
pub(crate) struct Tracked {
    pub(crate) backend: Backend,
    /// Since when it may take connections; `None` if it could when this process began.
    pub(crate) since: Option<Instant>,
    pub(crate) count: Count,
    /// Connections that opened since the plan in force took effect: what is left of its head start depends on them.
    pub(crate) opened_since_push: u32,
    pub(crate) guard: Guard,
}

impl Tracked {
    pub(crate) fn new(backend: Backend, since: Option<Instant>, count: Count) -> Self {
        Self { backend, since, count, opened_since_push: 0, guard: Guard::new() }
    }

    /// Whether discovery says that it takes new connections.
    pub(crate) fn is_ready(&self) -> bool {
        self.backend.state() == State::Ready
    }

    pub(crate) fn is_suspect(&self, now: Instant) -> bool {
        self.is_ready() && self.guard.is_suspect(now)
    }

    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        self.since.map(|since| now.saturating_duration_since(since))
    }

    pub(crate) fn ladder_input(&self, slow_start: Duration, now: Instant) -> LadderInput {
        let input = LadderInput::new(self.count.connections).with_capacity(self.backend.capacity().get());
        self.age(now).map_or(input, |age| input.with_age(age, slow_start))
    }

    pub(crate) fn standing(&self, now: Instant) -> Standing {
        if self.is_suspect(now) { Standing::Suspect } else { Standing::State(self.backend.state()) }
    }
}
