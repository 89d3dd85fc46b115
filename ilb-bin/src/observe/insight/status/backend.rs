//! The status of a pool's backends, made from the set of backends, the plan in force and the counts.

use tokio::time::Instant;

use super::{BackendStatus, plan_in_force::PlanInForce, text};
use crate::observe::insight::{PoolFacts, numbers::age, survey::Surveyed};

impl PoolFacts {
    /// Returns the status of the given backends.
    pub(crate) fn backend_statuses(&self, backends: &[Surveyed<'_>], now: Instant) -> Vec<BackendStatus> {
        let plan = PlanInForce::new(self, backends.iter().map(|surveyed| surveyed.backend.address()));
        let has_better = self.has_working_backend();
        backends.iter().map(|surveyed| self.backend_status(surveyed, &plan, has_better, now)).collect()
    }

    fn backend_status(
        &self,
        surveyed: &Surveyed<'_>,
        plan: &PlanInForce,
        has_better: bool,
        now: Instant,
    ) -> BackendStatus {
        let Surveyed { backend, state, load, total } = *surveyed;
        let address = backend.address();
        let totals = load.map(|_| self.load.totals.get(&address).copied().unwrap_or_default());
        let weights = plan.weights.get(&address).cloned().unwrap_or_default();
        let opened_since_push = totals.map_or(0, |totals| totals.opened_since_push);
        let head_start = plan.head_start(&weights).map(|ahead| ahead.saturating_sub(opened_since_push));
        let why = match self.evidence(backend) {
            Some(evidence) => text::why_misfit(evidence, !weights.is_empty(), has_better),
            None if self.in_force.as_ref().is_some_and(|decision| decision.is_at_limit(address)) => {
                "has as many connections as it may have, or all have: no new ones".to_owned()
            }
            None if self.in_force.as_ref().is_some_and(|decision| decision.is_limited_to_equal_share(address)) => {
                "its connections are compared with those of the others: at most an equal share".to_owned()
            }
            None => text::why(state, plan.balancing, head_start),
        };
        BackendStatus {
            address,
            pod: backend.pod().map(|pod| pod.name().to_owned()),
            namespace: backend.pod().map(|pod| pod.namespace().to_owned()),
            node: backend.pod().and_then(|pod| pod.node()).map(str::to_owned),
            state,
            state_seconds: self.states.get(address).map(|since| age(since, now)),
            zone: backend.zone().map(ToString::to_string),
            restarts: backend.restarts(),
            capacity: backend.capacity().get(),
            why,
            evidence: self.evidence(backend).map(ToString::to_string),
            head_start,
            weights,
            established: load.map(|l| l.established),
            half_closed: load.map(|l| l.half_closed),
            opening: load.map(|l| l.opening),
            total,
            opened: totals.map(|t| t.opened),
            closed: totals.map(|t| t.closed),
            closed_by_backend: totals.map(|t| t.closed_by_backend),
            unanswered: totals.map(|t| t.unanswered),
            bytes: totals.map(|t| t.bytes),
            rtt_seconds: load.and_then(|l| l.rtt).map(|rtt| rtt.as_secs_f64()),
            retransmits: load.map(|l| l.retransmits),
        }
    }
}
