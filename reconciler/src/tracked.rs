//! One backend with everything that least connections knows of it.

use std::time::{Duration, Instant};

use ilb_discovery::{Backend, State};

use crate::{
    admission::{Admission, Load, Peers},
    decision::{Evidence, Standing},
    guard::Guard,
    ladder::LadderInput,
    observations::{Count, EndedBy, Ending, ProbeKind, ProbeResult},
    outcomes::Outcomes,
};

/// A backend, its last count and what that says about it. [`LeastConnections`](crate::LeastConnections) updates it.
#[derive(Clone, Debug)]
pub(crate) struct Tracked {
    pub(crate) backend: Backend,
    /// Moment at which the backend became able to take connections; `None` if it already was when this process started.
    pub(crate) since: Option<Instant>,
    pub(crate) count: Count,
    /// Connections that opened since the plan in force took effect. They use up the head start that it gave.
    pub(crate) opened_since_push: u32,
    /// Those of them that the first sample after the push saw. They may have opened before it took effect.
    pub(crate) opened_around_push: u32,
    /// Connections that the first sample after the push saw and that are taken to have opened before it took effect. They
    /// may have opened since.
    pub(crate) opened_before_push: u32,
    /// Connections that are presumed to be open although no sample has found them.
    presumed: u32,
    /// Those of them that the plan in force has placed.
    pub(crate) presumed_since_push: u32,
    /// Outcomes since the last sample.
    pub(crate) outcomes: Outcomes,
    /// Whether another pool has the backend, too, so that it is unknown whose connections open there.
    pub(crate) is_shared: bool,
    pub(crate) guard: Guard,
    // Large: the map of all backends is only half full where they came one by one.
    pub(crate) admission: Box<Admission>,
    /// The standing that was reported last.
    pub(crate) reported: Standing,
}

impl Tracked {
    pub(crate) fn new(backend: Backend, since: Option<Instant>, count: Count) -> Self {
        let reported = Standing::State(backend.state());
        Self {
            backend,
            since,
            count,
            opened_since_push: 0,
            opened_around_push: 0,
            opened_before_push: 0,
            presumed: 0,
            presumed_since_push: 0,
            outcomes: Outcomes::default(),
            is_shared: false,
            guard: Guard::new(),
            admission: Box::new(Admission::new()),
            reported,
        }
    }

    /// Returns the same backend with another state, of which nothing is known yet but its connections. That it is no longer
    /// suspect or failing has still to be reported.
    pub(crate) fn as_new(&self, backend: Backend, since: Option<Instant>) -> Self {
        let new = Self { presumed: self.presumed, ..Self::new(backend, since, self.count) };
        match self.reported {
            reported @ (Standing::Suspect | Standing::Failing) => Self { reported, ..new },
            Standing::State(_) => new,
        }
    }

    /// Presumes that the plan in force has placed one more connection here.
    pub(crate) fn presume(&mut self) {
        self.presumed = self.presumed.saturating_add(1);
        self.presumed_since_push = self.presumed_since_push.saturating_add(1);
    }

    /// Presumes fewer connections.
    pub(crate) fn no_longer_presume(&mut self, connections: u32) {
        self.presumed = self.presumed.saturating_sub(connections);
        self.presumed_since_push = self.presumed_since_push.min(self.presumed);
    }

    /// Takes in that another plan is in force.
    pub(crate) fn pushed(&mut self, missed: u32) {
        self.guard.pushed(missed);
        self.opened_since_push = 0;
        self.opened_around_push = 0;
        self.opened_before_push = 0;
        self.presumed_since_push = 0;
    }

    /// Takes in that of the connections that were found last, so many had been placed by a plan before the one in force.
    pub(crate) fn placed_before(&mut self, connections: u32) {
        self.opened_since_push = self.opened_since_push.saturating_sub(connections);
        self.opened_around_push = self.opened_around_push.saturating_sub(connections);
    }

    /// Takes in that the last sample was the first one after a push, and whether what it saw open is taken to have opened
    /// before that push took effect.
    pub(crate) fn sampled_around_push(&mut self, is_of_plan_before: bool) {
        if is_of_plan_before {
            self.opened_before_push = std::mem::take(&mut self.opened_since_push);
        } else {
            self.opened_around_push = self.opened_since_push;
        }
    }

    /// Returns the number of connections, those that are presumed included.
    pub(crate) fn connections(&self) -> u32 {
        self.count.connections.saturating_add(self.presumed)
    }

    /// Takes in the end of a connection. One that had opened before the backend became able to take connections says nothing
    /// about it: while it did not answer, those that had been begun got no byte.
    pub(crate) fn ended(&mut self, ending: &Ending, now: Instant) {
        if self.age(now).is_none_or(|age| ending.age <= age) {
            self.outcomes.ended(ending);
        }
        if ending.by == EndedBy::NeverAnswered && self.is_ready() {
            self.guard.doubt();
        }
    }

    /// Takes in the count of a sample, and returns the outcomes since the one before.
    pub(crate) fn sampled(&mut self, count: Count) -> Outcomes {
        let mut outcomes = std::mem::take(&mut self.outcomes);
        if self.guard.would_fall(&count) {
            // They ended all at once, for example because the backend restarted. That says nothing about how it treats
            // single connections, and those that opened meanwhile are not good ones for that.
            outcomes = Outcomes::default();
        } else {
            outcomes.opened = count.opened;
        }
        self.count = count;
        self.opened_since_push = self.opened_since_push.saturating_add(count.opened);
        self.admission.sampled(&outcomes);
        outcomes
    }

    /// Compares the outcomes with those of the peers.
    pub(crate) fn judge(&mut self, peers: &Peers<'_>, now: Instant) {
        let was_failing = self.admission.evidence().is_some();
        let as_full_as_peers = peers.mean_load.map(|load| load * f64::from(self.backend.capacity().get()));
        self.admission.judge(peers, Load::new(self.count.connections, as_full_as_peers), now);
        if was_failing && self.admission.evidence().is_none() {
            self.since = Some(now);
        }
    }

    /// Returns the kind of probe that is due at `now`, and from then on takes that probe to be under way.
    pub(crate) fn take_due_probe(&mut self, now: Instant) -> Option<ProbeKind> {
        let of_guard = self.guard.take_due_probe(now);
        let of_admission = self.admission.take_due_probe(now).then_some(ProbeKind::Again);
        of_guard.or(of_admission)
    }

    /// Takes in the result of a probe of this backend, whose open peers have this total of outcomes. A suspect that answers
    /// is as old as a new backend.
    pub(crate) fn probed(&mut self, result: ProbeResult, peers: &Outcomes, now: Instant) {
        let was_suspect = self.guard.is_suspect();
        if result == ProbeResult::Closed && self.guard.is_doubted() && self.guard.has_missed() {
            self.admission.closed_probe(self.count.connections, now);
        } else {
            self.admission.probed(result, peers, now);
        }
        self.guard.probed(result, now);
        if was_suspect && !self.guard.is_suspect() {
            self.since = Some(now);
        }
    }

    /// Returns `true` if the backend takes new connections according to discovery.
    pub(crate) fn is_ready(&self) -> bool {
        self.backend.state() == State::Ready
    }

    pub(crate) fn is_suspect(&self) -> bool {
        self.is_ready() && self.guard.is_suspect()
    }

    /// Returns `true` if the backend serves connections, as far as is known.
    pub(crate) fn works(&self) -> bool {
        !self.is_suspect() && self.admission.works()
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.is_ready() && self.admission.evidence().is_some()
    }

    pub(crate) fn age(&self, now: Instant) -> Option<Duration> {
        self.since.map(|since| now.saturating_duration_since(since))
    }

    /// Returns the facts for the weights. `peers` and `open_peers` are the outcomes and the number of the backends that
    /// get what the counts say.
    pub(crate) fn ladder_input(
        &self,
        slow_start: Duration,
        peers: &Outcomes,
        open_peers: u32,
        now: Instant,
    ) -> LadderInput {
        let input = LadderInput::new(self.connections()).with_capacity(self.backend.capacity().get());
        let input = self.age(now).map_or(input, |age| input.with_age(age, slow_start));
        let limit = if self.guard.is_doubted() { Some(0) } else { self.admission.max_head_start(peers, open_peers) };
        limit.map_or(input, |limit| input.with_max_head_start(limit))
    }

    pub(crate) fn standing(&self) -> Standing {
        if self.is_suspect() {
            Standing::Suspect
        } else if self.is_failing() {
            Standing::Failing
        } else {
            Standing::State(self.backend.state())
        }
    }

    /// Returns the evidence for a standing that discovery does not report.
    pub(crate) fn evidence(&self) -> Option<Evidence> {
        match self.standing() {
            Standing::State(_) => None,
            Standing::Suspect => Some(Evidence::NoAnswer),
            Standing::Failing => self.admission.evidence().cloned(),
        }
    }

    /// Returns the moment at which something is due, if nothing is reported before.
    pub(crate) fn wake_up(&self) -> Option<Instant> {
        [self.guard.wake_up(), self.admission.wake_up()].into_iter().flatten().min()
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
        assert_eq!(tracked.take_due_probe(now), Some(ProbeKind::First));
        (tracked, now)
    }

    #[test]
    fn a_suspect_that_answers_is_as_old_as_a_new_backend() {
        let (mut tracked, now) = questioned();
        tracked.probed(ProbeResult::Unanswered, &Outcomes::default(), now);
        assert_eq!((tracked.standing(), tracked.age(now)), (Standing::Suspect, None));
        tracked.probed(ProbeResult::Answered, &Outcomes::default(), now);
        assert_eq!((tracked.standing(), tracked.age(now)), (Standing::State(State::Ready), Some(Duration::ZERO)));
    }

    #[test]
    fn a_backend_that_answers_before_it_is_a_suspect_keeps_its_age() {
        let (mut tracked, now) = questioned();
        tracked.probed(ProbeResult::Answered, &Outcomes::default(), now);
        assert_eq!((tracked.standing(), tracked.age(now)), (Standing::State(State::Ready), None));
    }
}
