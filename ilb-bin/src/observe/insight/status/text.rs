//! The sentences of the status document. The page and the command line show them as they are.

use std::fmt::Write as _;

use ilb_reconciler::{Method, decision::Evidence};
use tokio::time::Instant;

use super::{StateCounts, StatusSummary, plan_in_force::Balancing};
use crate::observe::insight::{
    Facts, PoolFacts, TraefikFacts,
    degraded::Degradation,
    imbalance::Imbalance,
    numbers::{age, ago, many, span},
    traefik::InstanceFacts,
    words::{BackendState, DiscoveryState, Severity},
};

impl StatusSummary {
    pub(super) fn new(severity: Severity, text: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { severity, text: text.into(), detail: detail.into() }
    }
}

pub(super) fn readiness(facts: &Facts, not_ready: &[String], degraded: &[Degradation], now: Instant) -> StatusSummary {
    let (about, place) =
        (format!("ilb {}, up for {}", env!("CARGO_PKG_VERSION"), span(age(facts.started, now))), facts.instance.text());
    let about = if place.is_empty() { about } else { format!("{place}, {about}") };
    let (active, pools) = (facts.pools.values().filter(|pool| pool.in_force.is_some()).count(), facts.pools.len());
    let active = if active == pools { "all pools".to_owned() } else { format!("{active} of {pools} pools") };
    match (not_ready, degraded) {
        ([], []) => StatusSummary::new(Severity::Ok, format!("ready: {active} active"), about),
        ([], reasons) => {
            let texts: Vec<_> = reasons.iter().map(|reason| reason.text.as_str()).collect();
            let severity = reasons.iter().map(|reason| reason.severity).fold(Severity::Warning, Severity::max);
            StatusSummary::new(severity, format!("degraded: {}", texts.join("; ")), about)
        }
        (reasons, _) if facts.is_starting(now) => {
            StatusSummary::new(Severity::Warning, format!("starting: {}", reasons.join("; ")), about)
        }
        (reasons, _) => StatusSummary::new(Severity::Error, format!("not ready: {}", reasons.join("; ")), about),
    }
}

pub(super) fn instance(facts: &InstanceFacts) -> StatusSummary {
    let version = facts.state.applied.as_ref().map(|applied| format!("version {}", applied.version));
    let version = version.unwrap_or_default();
    match facts.degraded() {
        None => StatusSummary::new(Severity::Ok, "Configuration active", version),
        Some(reason) => StatusSummary::new(Severity::Error, reason, version),
    }
}

pub(super) fn traefik(facts: &TraefikFacts, is_starting: bool, now: Instant) -> StatusSummary {
    match (&facts.problem, &facts.proof) {
        _ if facts.has_rival => StatusSummary::new(
            Severity::Error,
            "Another program writes to this Traefik",
            "each replaces the configuration of the other: end one of them",
        ),
        (Some(problem), _) if is_starting => {
            let tried = format!("for {}, {}", span(age(problem.since, now)), many(problem.attempts, "attempt"));
            StatusSummary::new(Severity::Warning, "Waiting for Traefik to start", tried)
        }
        (Some(problem), _) => {
            let tried = format!("for {}, {}", span(age(problem.since, now)), many(problem.attempts, "attempt"));
            StatusSummary::new(Severity::Error, format!("Configuration not verified: {}", problem.kind), tried)
        }
        (None, None) => StatusSummary::new(Severity::Warning, "Not configured yet", "waiting for the first push"),
        (None, Some(proof)) => {
            let mut detail = String::new();
            if let Some(process) = &facts.process {
                let _ = write!(detail, "version {}, ", process.version);
            }
            if facts.restarts > 0 {
                let _ = write!(detail, "{} seen, ", many(facts.restarts, "restart"));
            }
            let _ = write!(detail, "verified {}", ago(age(proof.at, now)));
            StatusSummary::new(
                Severity::Ok,
                format!("Configuration active for {}", span(age(proof.since, now))),
                detail,
            )
        }
    }
}

pub(super) fn discovery(pool: &PoolFacts, now: Instant) -> StatusSummary {
    if let Some(problem) = &pool.stale {
        let text = format!("Updates missing for {}: {}", span(age(problem.since, now)), problem.kind);
        let has_backends = pool.backends.as_ref().is_some_and(|backends| !backends.is_empty());
        return StatusSummary::new(
            Severity::Warning,
            text,
            if has_backends { "the last known backends stay in use" } else { "" },
        );
    }
    if pool.discovery_state() == DiscoveryState::Starting {
        return StatusSummary::new(
            Severity::Warning,
            "Not known yet",
            "waiting for the first complete set of backends",
        );
    }
    let contact = pool.since_contact().map(|age| format!("last contact {}", ago(age.as_secs_f64())));
    StatusSummary::new(Severity::Ok, "Backends up to date", contact.unwrap_or_default())
}

pub(super) fn balancing(pool: &PoolFacts, now: Instant) -> StatusSummary {
    const LEAST_CONNECTIONS: &str = "Least connections";
    const ROUND_ROBIN: &str = "Round robin";
    if pool.method == Method::RoundRobin {
        return StatusSummary::new(Severity::Ok, ROUND_ROBIN, "as configured");
    }
    match (&pool.load.latest, &pool.load.problem) {
        (Some(latest), _) => {
            StatusSummary::new(Severity::Ok, LEAST_CONNECTIONS, format!("last sample {}", ago(age(latest.at, now))))
        }
        (None, Some(problem)) => StatusSummary::new(Severity::Warning, ROUND_ROBIN, problem),
        (None, None) => {
            StatusSummary::new(Severity::Warning, LEAST_CONNECTIONS, "connections have not been counted yet")
        }
    }
}

/// Counts backends by state, and their connections where they are counted: `4 ready, 1 draining, 87 connections`.
pub(super) fn counts(pool: &PoolFacts, count: &StateCounts, connections: u64) -> String {
    let states = BackendState::ALL.map(|state| (state, count.get(state)));
    let shown = states.iter().filter(|(state, count)| *count > 0 || *state == BackendState::Ready);
    let mut text = shown.map(|(state, count)| format!("{count} {state}")).collect::<Vec<_>>().join(", ");
    if pool.load.latest.is_some() {
        let _ = write!(text, ", {}", many(connections, "connection"));
    }
    text
}

pub(super) fn note(pool: &PoolFacts) -> Option<String> {
    let is_empty = pool.backends.as_ref().is_some_and(|backends| backends.is_empty());
    let is_shared = pool.shared > 0;
    if is_empty {
        let refused = pool.complaints(1);
        let why = refused.listed.first().filter(|complaint| complaint.is_left_out);
        let why = why.map(|one| format!(" {} left out, such as {}: {}.", were(refused.count), one.object, one.text));
        Some(format!(
            "There is no backend: new connections are closed at once until there is one.{}",
            why.unwrap_or_default()
        ))
    } else if is_shared {
        let backends = many(pool.shared as u64, "backend");
        Some(format!("Other pools have {backends} of this pool, too: all connections count in each of the pools."))
    } else {
        None
    }
}

/// Counts objects that something happened to: `1 object was`, `2 objects were`.
fn were(count: usize) -> String {
    format!("{} {}", many(count as u64, "object"), if count == 1 { "was" } else { "were" })
}

pub(super) fn imbalance(imbalance: Option<Imbalance>) -> String {
    match imbalance {
        Some(Imbalance { connections, .. }) => {
            format!("the fullest backend has {connections:.1} connections more than the mean")
        }
        None => "nothing to compare: there are no connections, or they are not counted".to_owned(),
    }
}

/// Explains the share of new connections that a backend gets.
pub(super) fn why(state: BackendState, balancing: Balancing, head_start: Option<u64>) -> String {
    let text = match (state, balancing, head_start) {
        (BackendState::Draining, ..) => "leaving: keeps existing connections",
        (BackendState::NotReady | BackendState::Unknown, ..) => "not ready: keeps existing connections",
        (_, Balancing::None, _) | (_, Balancing::LeastConnections, None) => "not active yet",
        (_, Balancing::RoundRobin, _) => "round robin",
        (_, Balancing::Blind, _) => "round robin: connections cannot be counted",
        (_, Balancing::LeastConnections, Some(0)) => "as full as the fullest: round robin",
        (_, Balancing::LeastConnections, Some(1)) => "less full: gets the next connection",
        (_, Balancing::LeastConnections, Some(n)) => return format!("less full: gets the next {n} connections"),
    };
    text.to_owned()
}

/// Explains the share of new connections that a suspect or failing backend gets. `has_better` is whether another backend
/// is neither.
pub(super) fn why_misfit(evidence: &Evidence, is_in_plan: bool, has_better: bool) -> String {
    let share = match (evidence, is_in_plan, has_better) {
        (_, true, false) => "used because no backend is better",
        (Evidence::NoAnswer, true, true) => "left out with the next push",
        (Evidence::NoAnswer, false, _) => "no new connections until it does",
        (_, true, true) => "at most an equal share of new connections",
        (_, false, _) => "no new connections for now",
    };
    format!("{evidence}: {share}")
}
