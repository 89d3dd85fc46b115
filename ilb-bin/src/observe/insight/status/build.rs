//! The way from the facts to the status document.

use tokio::time::Instant;

use super::{
    CountingStatus, DiscoveryStatus, ImbalanceStatus, InstanceStatus, PoolStatus, Problem, PushStatus, Status,
    TraefikStatus, text,
};
use crate::observe::insight::{
    Facts, PoolFacts, TraefikFacts,
    imbalance::ImbalanceHistory,
    numbers::age,
    problem::OngoingProblem,
    traefik::{FinishedPush, InstanceFacts},
    words::{CountingState, DiscoveryState},
};

impl Facts {
    /// Returns the status, with at most `max_backends` backends per pool.
    pub(crate) fn status(&self, max_backends: usize, now: Instant) -> Status {
        let (not_ready, degraded) = (self.not_ready(now), self.degraded(now));
        let is_proved = self.traefik.not_proved(now).is_none();
        let pools = self.pools.iter();
        Status {
            schema: 1,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_seconds: age(self.started, now),
            ready: not_ready.is_empty(),
            summary: text::readiness(self, &not_ready, &degraded, now),
            not_ready,
            degraded,
            traefik: self.traefik.status(now),
            closer: self.closer.status(),
            siblings: self.siblings.status(now),
            pools: pools.map(|(name, pool)| pool.status(name, max_backends, is_proved, now)).collect(),
        }
    }
}

impl TraefikFacts {
    fn status(&self, now: Instant) -> TraefikStatus {
        TraefikStatus {
            state: self.state(),
            push_state: self.push_state(),
            summary: text::traefik(self, now),
            problem: self.problem.as_ref().map(|problem| problem.status(now)),
            has_rival: self.has_rival,
            instances: self.instances.iter().map(|(instance, facts)| facts.status(instance, now)).collect(),
            in_force_seconds: self.proof.as_ref().map(|proof| age(proof.since, now)),
            proof_age_seconds: self.proof.as_ref().map(|proof| age(proof.at, now)),
            revision: self.process.as_ref().map(|process| process.revision.to_string()),
            version: self.process.as_ref().map(|process| process.version.to_string()),
            started: self.process.as_ref().map(|process| process.started.to_string()),
            restarts_seen: self.restarts,
            pushes: self.finished.iter().rev().map(|push| push.status(now)).collect(),
        }
    }
}

impl InstanceFacts {
    fn status(&self, instance: &str, now: Instant) -> InstanceStatus {
        let applied = self.state.applied.as_ref();
        InstanceStatus {
            instance: instance.to_owned(),
            in_force: self.is_in_force(),
            has_rival: self.state.has_rival,
            summary: text::instance(self),
            problem: self.problem.as_ref().map(|problem| problem.status(now)),
            version: applied.map(|applied| applied.version.to_string()),
            started: applied.map(|applied| applied.started.to_string()),
        }
    }
}

impl OngoingProblem {
    fn status(&self, now: Instant) -> Problem {
        Problem {
            kind: self.kind.to_owned(),
            text: self.text.clone(),
            for_seconds: age(self.since, now),
            attempts: self.attempts,
        }
    }
}

impl FinishedPush {
    fn status(&self, now: Instant) -> PushStatus {
        PushStatus {
            age_seconds: age(self.ended, now),
            took_seconds: self.took.as_secs_f64(),
            reason: self.reason,
            result: self.result,
            entries: self.entries,
            error: self.error.clone(),
        }
    }
}

impl PoolFacts {
    fn status(&self, name: &str, max_backends: usize, is_proved: bool, now: Instant) -> PoolStatus {
        let survey = self.survey();
        let (count, imbalance) = (survey.count(), survey.imbalance());
        let text = text::counts(self, &count, survey.connections());
        let (backends, omitted) = survey.shown(max_backends);
        PoolStatus {
            name: name.to_owned(),
            entry_point: self.entry_point.clone(),
            method: self.method.into(),
            in_force: is_proved && self.in_force.is_some(),
            degraded: self.degraded(is_proved).into_iter().map(|reason| reason.text).collect(),
            text,
            note: text::note(self),
            discovery: DiscoveryStatus {
                state: self.discovery_state(),
                summary: text::discovery(self, now),
                problem: self.stale.as_ref().map(|problem| problem.status(now)),
                contact_age_seconds: self.since_contact().map(|age| age.as_secs_f64()),
            },
            balancing: text::balancing(self, now),
            counting: CountingStatus {
                state: self.counting_state(),
                by: self.load.latest.as_ref().and_then(|latest| latest.by).map(str::to_owned),
                problem: self.load.problem.clone(),
                age_seconds: self.load.latest.as_ref().map(|latest| age(latest.at, now)),
            },
            closing: self.closings.status(now),
            sharing: self.sharing.as_ref().map(|sharing| sharing.status(now)),
            count,
            imbalance: ImbalanceStatus {
                ratio: imbalance.map(|i| i.ratio),
                connections: imbalance.map(|i| i.connections),
                text: text::imbalance(imbalance),
                step_seconds: ImbalanceHistory::STEP.as_secs(),
                history: self.load.history.means().collect(),
            },
            omitted,
            backends: self.backend_statuses(&backends),
        }
    }

    pub(super) fn discovery_state(&self) -> DiscoveryState {
        match (&self.stale, &self.backends) {
            (Some(_), _) => DiscoveryState::Stale,
            (None, None) => DiscoveryState::Starting,
            (None, Some(_)) => DiscoveryState::UpToDate,
        }
    }

    pub(super) fn counting_state(&self) -> CountingState {
        match (&self.load.latest, &self.load.problem) {
            (Some(_), _) => CountingState::Counting,
            (None, Some(_)) => CountingState::Impossible,
            (None, None) => CountingState::Off,
        }
    }
}
