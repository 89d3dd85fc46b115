//! Several replicas as one: what each says, and the sum of their connections.
//!
//! Every replica counts the connections through itself, so the load of a backend is the sum over the replicas. Everything else
//! is merged so that no trouble of one is lost: states are the worst ones, and reasons name the replicas that have them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::observe::insight::{
    BackendState, BackendStatus, Imbalance, Level, PoolStatus, ReasonStatus, Severity, Status, StatusSummary,
    numbers::{many, percent, span},
};

/// Answer of one replica.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Answer {
    /// Name of the pod.
    pub(super) pod: String,
    pub(super) namespace: String,
    pub(super) node: Option<String>,
    /// True if the pod has been deleted and is draining.
    pub(super) leaving: bool,
    /// Reason why it did not answer.
    pub(super) problem: Option<String>,
    pub(super) status: Option<Status>,
}

/// Status that is shown, and the replicas that it is merged from.
#[derive(Clone, Debug)]
pub(super) struct Overview {
    pub(super) status: Status,
    /// Empty for the status of a single replica.
    pub(super) replicas: Vec<ReplicaRow>,
}

/// Replica among several.
#[derive(Clone, Debug)]
pub(super) struct ReplicaRow {
    pub(super) pod: String,
    pub(super) severity: Severity,
    /// State in a word or two.
    pub(super) state: String,
    pub(super) connections: Option<u64>,
    pub(super) opened_per_second: Option<f64>,
    /// Reasons of its state, or its place and age.
    pub(super) note: String,
}

/// Maximum number of replicas whose connections are listed one by one beside a backend.
const MAX_LISTED: usize = 8;

impl From<Status> for Overview {
    fn from(status: Status) -> Self {
        Self { status, replicas: Vec::new() }
    }
}

impl Overview {
    /// Merges answers of one release; `None` if there is no status among them.
    pub(super) fn from_answers(answers: &[Answer]) -> Option<Self> {
        match answers {
            [Answer { status: Some(status), .. }] => Some(status.clone().into()),
            answers => {
                Some(Self { status: merged(answers)?, replicas: answers.iter().map(ReplicaRow::from).collect() })
            }
        }
    }
}

impl From<&Answer> for ReplicaRow {
    fn from(answer: &Answer) -> Self {
        let state = |status: &Status| match status.level {
            Level::Ready => "ready",
            Level::Degraded => "degraded",
            Level::Starting => "starting",
            Level::NotReady => "not ready",
            Level::Unknown => "unknown",
        };
        let leaving = if answer.leaving { ", leaving" } else { "" };
        let Some(status) = &answer.status else {
            return Self {
                pod: answer.pod.clone(),
                severity: if answer.leaving { Severity::Warning } else { Severity::Error },
                state: format!("no answer{leaving}"),
                connections: None,
                opened_per_second: None,
                note: answer.problem.clone().unwrap_or_default(),
            };
        };
        let reasons = [&status.not_ready[..], &status.degraded[..]].concat();
        let place = answer.node.as_ref().map(|node| format!("on {node}, ")).unwrap_or_default();
        let note = if reasons.is_empty() {
            format!("{place}ilb {}, up for {}", status.version, span(status.uptime_seconds))
        } else {
            reasons.join("; ")
        };
        Self {
            pod: answer.pod.clone(),
            severity: status.summary.severity,
            state: format!("{}{leaving}", state(status)),
            connections: status.pools.iter().filter_map(connections).reduce(u64::saturating_add),
            opened_per_second: status
                .pools
                .iter()
                .filter_map(|pool| Some(pool.rates?.opened_per_second))
                .reduce(|a, b| a + b),
            note,
        }
    }
}

/// Returns the connections of a pool through one replica; `None` where they are not counted.
fn connections(pool: &PoolStatus) -> Option<u64> {
    pool.backends.iter().filter_map(|backend| Some(u64::from(backend.connections()?))).reduce(u64::saturating_add)
}

/// Merges statuses; `None` if there are none.
fn merged(answers: &[Answer]) -> Option<Status> {
    let statuses: Vec<_> =
        answers.iter().filter_map(|answer| Some((answer.pod.as_str(), answer.status.as_ref()?))).collect();
    let mut whole = statuses.first()?.1.clone();
    // A pod that drains is not ready on purpose.
    let staying: Vec<_> = answers.iter().filter(|answer| !answer.leaving).collect();
    let ready = staying.iter().filter(|answer| answer.status.as_ref().is_some_and(|status| status.ready)).count();
    let degraded = reasons(&staying);
    (whole.ready, whole.instance.pod, whole.instance.node) = (ready > 0, None, None);
    (whole.closer, whole.siblings) = (None, None);
    whole.events.last.clear();
    whole.level = match (ready, degraded.is_empty()) {
        (0, _) => Level::NotReady,
        (_, true) => Level::Ready,
        (_, false) => Level::Degraded,
    };
    let about = format!("{}, {}", whole.instance.text(), many(answers.len() as u64, "replica"));
    let text = format!("{ready} of {} replicas ready", staying.len());
    let worst = staying
        .iter()
        .filter_map(|answer| Some(answer.status.as_ref()?.summary.severity))
        .fold(Severity::Warning, Severity::max);
    let (severity, text) = match whole.level {
        Level::NotReady => (Severity::Error, format!("not ready: {text}; {}", degraded.join("; "))),
        Level::Degraded => (worst, format!("degraded: {text}; {}", degraded.join("; "))),
        _ => (Severity::Ok, format!("ready: {text}")),
    };
    whole.summary = StatusSummary { severity, text, detail: about.trim_start_matches(", ").to_owned() };
    (whole.not_ready, whole.degraded) = if ready == 0 { (degraded, Vec::new()) } else { (Vec::new(), degraded) };
    whole.reasons = statuses.iter().flat_map(|(_, status)| status.reasons.clone()).collect();
    let about = |reason: &ReasonStatus| (reason.pool.clone(), reason.kind.clone());
    whole.reasons.sort_by_cached_key(about);
    whole.reasons.dedup_by_key(|reason| about(reason));
    let mut pools: BTreeMap<&str, Vec<(&str, &PoolStatus)>> = BTreeMap::new();
    for (pod, status) in &statuses {
        for pool in &status.pools {
            pools.entry(&pool.name).or_default().push((pod, pool));
        }
    }
    whole.pools = pools.values().filter_map(|parts| merged_pool(parts)).collect();
    Some(whole)
}

/// Collects what is wrong, each reason once, with the replicas that have it unless all of them do.
fn reasons(answers: &[&Answer]) -> Vec<String> {
    let mut by_reason: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    let mut silent = Vec::new();
    for answer in answers {
        let Some(status) = &answer.status else {
            silent.push(format!("{} does not answer", answer.pod));
            continue;
        };
        for reason in status.not_ready.iter().chain(&status.degraded) {
            by_reason.entry(reason.clone()).or_default().push(&answer.pod);
        }
    }
    let told = by_reason.into_iter().map(|(reason, pods)| {
        if pods.len() == answers.len() { reason } else { format!("{reason} (in {})", pods.join(", ")) }
    });
    silent.into_iter().chain(told).collect()
}

/// Merges what replicas say of one pool.
fn merged_pool(parts: &[(&str, &PoolStatus)]) -> Option<PoolStatus> {
    let mut whole = parts.first()?.1.clone();
    let pools = || parts.iter().map(|(_, pool)| *pool);
    let worst = pools().max_by_key(|pool| pool.severity)?;
    (whole.level, whole.severity) = (worst.level, worst.severity);
    whole.in_force = pools().all(|pool| pool.in_force);
    whole.degraded = pools().flat_map(|pool| pool.degraded.clone()).collect();
    whole.degraded.sort();
    whole.degraded.dedup();
    whole.discovery = pools().max_by_key(|pool| pool.discovery.summary.severity)?.discovery.clone();
    whole.balancing = pools().max_by_key(|pool| pool.balancing.severity)?.balancing.clone();
    (whole.closing, whole.limit, whole.sharing) = (None, None, None);
    let mut backends: BTreeMap<_, Vec<(&str, &BackendStatus)>> = BTreeMap::new();
    for (pod, pool) in parts {
        for backend in &pool.backends {
            backends.entry(backend.address).or_default().push((pod, backend));
        }
    }
    let counted = backends.values().map(Vec::len).max().unwrap_or(0);
    whole.backends = backends.values().filter_map(|seen| merged_backend(seen, counted)).collect();
    whole.count = whole.backends.iter().map(|backend| backend.state).collect();
    let loads = whole.backends.iter().filter(|backend| backend.state == BackendState::Ready);
    let loads =
        loads.filter_map(|backend| Some(f64::from(backend.connections()?) / f64::from(backend.capacity.max(1))));
    let imbalance = Imbalance::from_loads(loads);
    whole.imbalance.ratio = imbalance.map(|imbalance| imbalance.ratio);
    whole.imbalance.connections = imbalance.map(|imbalance| imbalance.connections);
    whole.imbalance.history = Vec::new();
    "of the connections through all replicas".clone_into(&mut whole.imbalance.text);
    whole.rates = None;
    whole.text = text(&whole, parts.len());
    Some(whole)
}

/// Counts the backends and the connections of a pool.
fn text(pool: &PoolStatus, replicas: usize) -> String {
    let states = BackendState::ALL.map(|state| (state, pool.count.get(state)));
    let shown = states.iter().filter(|(state, count)| *count > 0 || *state == BackendState::Ready);
    let mut parts: Vec<_> = shown.map(|(state, count)| format!("{count} {state}")).collect();
    let total = connections(pool).map(|total| many(total, "connection"));
    parts.extend(total.map(|total| format!("{total} through {}", many(replicas as u64, "replica"))));
    parts.join(", ")
}

/// Merges what replicas say of one backend. `known` is the number of replicas that know the pool.
fn merged_backend(seen: &[(&str, &BackendStatus)], known: usize) -> Option<BackendStatus> {
    let mut whole = seen.first()?.1.clone();
    let sum = |part: fn(&BackendStatus) -> Option<u64>| {
        seen.iter().filter_map(|(_, one)| part(one)).reduce(u64::saturating_add)
    };
    let sum32 = |part: fn(&BackendStatus) -> Option<u32>| {
        seen.iter().filter_map(|(_, one)| part(one)).reduce(u32::saturating_add)
    };
    whole.established = sum32(|one| one.established);
    whole.half_closed = sum32(|one| one.half_closed);
    whole.opening = sum32(|one| one.opening);
    whole.opened = sum(|one| one.opened);
    whole.closed = sum(|one| one.closed);
    whole.closed_by_backend = sum(|one| one.closed_by_backend);
    whole.unanswered = sum(|one| one.unanswered);
    whole.bytes = sum(|one| one.bytes);
    whole.retransmits = sum(|one| one.retransmits);
    whole.restarts = seen.iter().filter_map(|(_, one)| one.restarts).max();
    (whole.total, whole.head_start, whole.weights, whole.rtt_seconds) = (None, None, Vec::new(), None);
    let (pod, worst) = seen.iter().min_by_key(|(_, one)| one.state.interest(None).0)?;
    (whole.state, whole.state_seconds) = (worst.state, worst.state_seconds);
    whole.evidence.clone_from(&worst.evidence);
    let counts: Vec<_> = seen.iter().map(|(_, one)| one.connections()).collect();
    let mut why = by_replica(&counts);
    if seen.iter().any(|(_, one)| one.state != worst.state) {
        why = format!("{} in {pod}; {why}", worst.state);
    } else if seen.len() < known {
        why = format!("known to {} of {known} replicas; {why}", seen.len());
    }
    whole.why = why;
    Some(whole)
}

/// Writes the connections through each replica, or their range where there are many.
fn by_replica(counts: &[Option<u32>]) -> String {
    let text = |count: &Option<u32>| count.map_or("–".to_owned(), |count| count.to_string());
    if counts.len() <= MAX_LISTED {
        return format!("{} by replica", counts.iter().map(text).collect::<Vec<_>>().join(" + "));
    }
    let (least, most) = (counts.iter().flatten().min().copied(), counts.iter().flatten().max().copied());
    format!("{} to {} by replica", text(&least), text(&most))
}

/// Returns the part of all new connections that each replica gets, as text; `None` where that is not known.
pub(super) fn shares(replicas: &[ReplicaRow]) -> Vec<Option<String>> {
    let all =
        replicas.iter().filter_map(|replica| replica.opened_per_second).reduce(|a, b| a + b).filter(|all| *all > 0.0);
    let share = |replica: &ReplicaRow| Some(percent(replica.opened_per_second? / all?));
    replicas.iter().map(share).collect()
}

#[cfg(any(test, fuzzing))]
impl From<&Status> for Answer {
    /// Makes an answer from a status of the pod that it names.
    fn from(status: &Status) -> Self {
        let instance = status.instance.clone();
        Self {
            pod: instance.pod.unwrap_or_default(),
            namespace: instance.namespace.unwrap_or_default(),
            node: instance.node,
            leaving: false,
            problem: None,
            status: Some(status.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
