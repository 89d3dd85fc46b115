//! The way from the facts to the status document.

use ilb_reconciler::least_connections::LimitState;
use tokio::time::Instant;

use super::{
    CountingStatus, DiscoveryStatus, ImbalanceStatus, InstanceStatus, LimitStatus, PoolStatus, Problem,
    PushCountsStatus, PushStatus, RatesStatus, SourceStatus, Status, StatusSummary, TraefikStatus, text,
};
use crate::observe::insight::{
    Facts, PoolFacts, TraefikFacts,
    imbalance::ImbalanceHistory,
    limit::LimitFacts,
    numbers::age,
    problem::OngoingProblem,
    push_rate::PushCounts,
    traefik::{FinishedPush, InstanceFacts},
    words::{CountingState, DiscoveryState, Severity},
    zones::ZoneFacts,
};

/// Maximum number of complaints about objects of a pool in the status.
const MAX_COMPLAINTS: usize = 20;

impl Facts {
    /// Returns the status, with at most `max_backends` backends per pool.
    pub(crate) fn status(&self, max_backends: usize, now: Instant) -> Status {
        let (not_ready, degraded) = (self.not_ready(now), self.degraded(now));
        let (is_proved, is_starting) = (self.traefik.not_proved(now).is_none(), self.is_starting(now));
        let pools = self.pools.iter();
        let mut status = Status {
            schema: 1,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: (*self.instance).clone(),
            backend_links: self.backend_links.to_vec(),
            uptime_seconds: age(self.started, now),
            level: self.level(now),
            ready: not_ready.is_empty(),
            summary: text::readiness(self, &not_ready, &degraded, now),
            not_ready,
            degraded: degraded.into_iter().map(|reason| reason.text).collect(),
            traefik: self.traefik.status(is_starting, now),
            closer: self.closer.status(),
            siblings: self.siblings.status(now),
            pools: pools.map(|(name, pool)| pool.status(name, max_backends, (is_proved, is_starting), now)).collect(),
            events: self.last_events(now),
            reasons: Vec::new(),
        };
        status.reasons = self.reasons(&status, now);
        status
    }
}

impl TraefikFacts {
    fn status(&self, is_starting: bool, now: Instant) -> TraefikStatus {
        TraefikStatus {
            state: self.state(),
            push_state: self.push_state(),
            summary: text::traefik(self, is_starting, now),
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
            pushes_last_minute: {
                let PushCounts { balance, other } = self.rate.last_minute(now);
                PushCountsStatus { balance, other }
            },
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

impl LimitFacts {
    fn status(&self) -> Option<LimitStatus> {
        let LimitState { max_connections, connections, is_full, .. } = self.state?;
        let (severity, detail) = match self.consequence() {
            Some(consequence) => (Severity::Warning, consequence),
            None => (Severity::Ok, ""),
        };
        let text = format!("{connections} of {max_connections} connections");
        Some(LimitStatus {
            summary: StatusSummary::new(severity, text, detail),
            max_connections,
            connections,
            full: is_full,
        })
    }
}

impl PoolFacts {
    fn status(
        &self,
        name: &str,
        max_backends: usize,
        (is_proved, is_starting): (bool, bool),
        now: Instant,
    ) -> PoolStatus {
        let survey = self.survey();
        let (count, imbalance) = (survey.count(), survey.imbalance());
        let (level, degraded) = (self.level(is_proved, is_starting), self.degraded(is_proved));
        let text = text::counts(self, &count, survey.connections());
        let (backends, omitted) = survey.shown(max_backends);
        PoolStatus {
            name: name.to_owned(),
            entry_point: self.entry_point.clone(),
            source: self.source().map(SourceStatus::from),
            complaints: self.complaints(MAX_COMPLAINTS).into(),
            method: self.method.into(),
            in_force: is_proved && self.in_force.is_some(),
            level,
            severity: degraded.iter().map(|reason| reason.severity).fold(level.severity(), Severity::max),
            degraded: degraded.into_iter().map(|reason| reason.text).collect(),
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
            limit: self.limit.status(),
            sharing: self.sharing.as_ref().map(|sharing| sharing.status(now)),
            zones: self.zones.as_ref().map(ZoneFacts::status),
            count,
            imbalance: ImbalanceStatus {
                ratio: imbalance.map(|i| i.ratio),
                connections: imbalance.map(|i| i.connections),
                text: text::imbalance(imbalance),
                step_seconds: ImbalanceHistory::STEP.as_secs(),
                history: self.load.history.means().collect(),
            },
            rates: self.rates(now),
            omitted,
            backends: self.backend_statuses(&backends, now),
        }
    }

    fn rates(&self, now: Instant) -> Option<RatesStatus> {
        self.load.latest.as_ref()?;
        let recent = self.history.recent(now)?;
        Some(RatesStatus {
            opened_per_second: recent.opened_per_second?,
            closed_per_second: recent.closed_per_second?,
            failed_per_second: recent.failed_per_second?,
            bytes_per_second: recent.bytes_per_second?,
        })
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
