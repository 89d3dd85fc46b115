//! One backend with everything that least connections knows of it.

use std::time::{Duration, Instant};

use ilb_discovery::{Backend, State};

use crate::{
    decision::Standing,
    guard::Guard,
    ladder::LadderInput,
    observations::{Count, ProbeResult},
};

/// A backend, its last count and the state of its guard. [`LeastConnections`](crate::LeastConnections) updates it.
#[derive(Clone, Debug)]
pub(crate) struct Tracked {
    pub(crate) backend: Backend,
    /// Moment at which the backend became able to take connections; `None` if it already was when this process started.
    pub(crate) since: Option<Instant>,
    pub(crate) count: Count,
    /// Connections that opened since the plan in force took effect. They use up the head start that it gave.
    pub(crate) opened_since_push: u32,
    pub(crate) guard: Guard,
}

impl Tracked {
    pub(crate) fn new(backend: Backend, since: Option<Instant>, count: Count) -> Self {
        Self { backend, since, count, opened_since_push: 0, guard: Guard::new() }
    }

    /// Takes in the result of a probe. A suspect that answers is as old as a new backend.
    pub(crate) fn probed(&mut self, result: ProbeResult, now: Instant) {
        let was_suspect = self.guard.is_suspect(now);
        self.guard.probed(result, now);
        if was_suspect && !self.guard.is_suspect(now) {
            self.since = Some(now);
        }
    }

    /// Returns `true` if the backend takes new connections according to discovery.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a backend whose probe was started at the moment returned.
    fn questioned() -> (Tracked, Instant) {
        let now = Instant::now();
        let backend = Backend::new(([10, 0, 0, 1], 1).into(), State::Ready);
        let mut tracked = Tracked::new(backend, None, Count::default());
        tracked.guard.sampled(&Count::default(), 5, now);
        assert!(tracked.guard.take_due_probe(now));
        (tracked, now)
    }

    #[test]
    fn a_suspect_that_answers_is_as_old_as_a_new_backend() {
        let (mut tracked, now) = questioned();
        tracked.probed(ProbeResult::Unanswered, now);
        assert_eq!((tracked.standing(now), tracked.age(now)), (Standing::Suspect, None));
        tracked.probed(ProbeResult::Answered, now);
        assert_eq!((tracked.standing(now), tracked.age(now)), (Standing::State(State::Ready), Some(Duration::ZERO)));
    }

    #[test]
    fn a_backend_that_answers_before_it_is_a_suspect_keeps_its_age() {
        let (mut tracked, now) = questioned();
        tracked.probed(ProbeResult::Answered, now);
        assert_eq!((tracked.standing(now), tracked.age(now)), (Standing::State(State::Ready), None));
    }
}
