//! The way from the loop's events to the log: only what changes something is in it.

use std::collections::BTreeMap;

use ilb_connections::Ability;
use ilb_controller::{DesiredPools, Event, PoolSpec, RunEnd};
use ilb_discovery::{Backend, BackendSet, State};
use ilb_reconciler::{decision::Standing, least_connections::StandingChange};
use ilb_siblings::SiblingEvent;
use ilb_traefik_client::{Error, Name};
use tokio::time::Instant;

use super::Draft;
use crate::observe::{
    insight::{
        Facts, PoolFacts, TraefikFacts,
        changes::{BackendChanges, listed, shown},
        numbers::many,
        words::{EventKind, Severity},
    },
    settings_event::SettingsEvent,
};

/// Number of backends up to which each has an entry of its own, if they change at the same time.
const MAX_SINGLE_ENTRIES: usize = 20;

/// Maximum number of complaints that are compared with those before.
const MAX_COMPLAINTS: usize = 50;

/// Returns the entries for an event, before the facts take it in.
pub(in crate::observe::insight) fn entries(facts: &Facts, event: &Event<'_>, now: Instant) -> Vec<Draft> {
    match event {
        Event::PoolAdded { pool } => vec![added(facts, &pool.spec)],
        Event::PoolRemoved { pool } => {
            vec![
                Draft::new(EventKind::Pool, Severity::Ok, format!("Pool {pool} is no longer served"))
                    .of_pool(pool.as_str()),
            ]
        }
        Event::Discovered { pool, set, previous, stale } => {
            let before = facts.pools.get(pool.as_str());
            let mut entries = discovered(pool.as_str(), set, *previous, before);
            if stale.is_none() && before.is_some_and(|pool| pool.stale.is_some()) {
                let text = "Discovery is up to date again";
                entries.push(Draft::new(EventKind::Discovery, Severity::Ok, text).of_pool(pool.as_str()));
            }
            entries
        }
        Event::DiscoveryStale { pool, error } => {
            let before = facts.pools.get(pool.as_str()).and_then(|pool| pool.stale.as_ref());
            let is_new = before.is_none_or(|before| before.kind != error.kind());
            let text = || format!("Discovery is stale: {}", error.with_causes());
            let entry = || Draft::new(EventKind::Discovery, Severity::Warning, text()).of_pool(pool.as_str());
            is_new.then(entry).into_iter().collect()
        }
        Event::StandingChanged { pool, change } => {
            let set = facts.pools.get(pool.as_str()).and_then(|pool| pool.backends.as_ref());
            let entry = set.and_then(|set| Some(standing_changed(change, set.get(&change.backend)?)));
            entry.map(|entry| entry.of_pool(pool.as_str())).into_iter().collect()
        }
        Event::CountingFailed { pool, error } => {
            uncounted(facts, pool.as_str(), &error.with_causes().to_string()).into_iter().collect()
        }
        Event::CountingImpossible { pool, reason } => uncounted(facts, pool.as_str(), reason).into_iter().collect(),
        Event::Sampled { pool, .. } => {
            let pool = pool.as_str();
            let is_again = facts.pools.get(pool).is_some_and(|pool| pool.load.problem.is_some());
            let text = "Connections can be counted again";
            is_again.then(|| Draft::new(EventKind::Counting, Severity::Ok, text).of_pool(pool)).into_iter().collect()
        }
        Event::Pushed { desired, applied, .. } => {
            let mut entries: Vec<_> = traefik(&facts.traefik, event, now).into_iter().collect();
            entries.extend(served(facts, desired, &applied.faults));
            entries.extend(refused(facts, &applied.faults));
            entries
        }
        Event::PushFailed { error } => {
            let faults = if let Error::NoneInForce { faults } = error { Some(faults) } else { None };
            let entry = traefik(&facts.traefik, event, now).into_iter();
            entry.chain(faults.into_iter().flat_map(|faults| refused(facts, faults))).collect()
        }
        Event::ProofLost { .. } | Event::RivalFound | Event::RivalGone => {
            traefik(&facts.traefik, event, now).into_iter().collect()
        }
        Event::InstanceChanged { instance, state } => {
            let before = facts.traefik.instances.get(*instance);
            let text = match (before, state) {
                (None, Some(_)) => format!("Traefik {instance} belongs to the fleet"),
                (Some(_), None) => format!("Traefik {instance} has left the fleet"),
                (Some(before), Some(state)) => match (&before.state.error, &state.error) {
                    (None, Some(error)) => format!("Traefik {instance} does not have the configuration: {error}"),
                    (Some(_), None) => format!("Traefik {instance} has the configuration again"),
                    _ => return Vec::new(),
                },
                (None, None) => return Vec::new(),
            };
            let is_bad = state.is_some_and(|state| state.error.is_some());
            vec![Draft::new(EventKind::Traefik, if is_bad { Severity::Error } else { Severity::Ok }, text)]
        }
        Event::ClosingsBegan { pool, run } => {
            let verb = if run.is_dry_run { "would be closed" } else { "are being closed" };
            let text = format!("{} {verb} for {}", many(run.planned, "connection"), run.why);
            vec![Draft::new(EventKind::Closing, Severity::Ok, text).of_pool(pool.as_str())]
        }
        Event::ClosingsEnded { pool, run, end } => {
            let severity = if matches!(end, RunEnd::Paused(..)) { Severity::Warning } else { Severity::Ok };
            let how = match end {
                RunEnd::Paused(reason, _) => format!(", paused: {reason}"),
                RunEnd::Interrupted(hold) => format!(", interrupted: {hold}"),
                _ => String::new(),
            };
            let text = format!("{} closed for {}{how}", many(run.closed, "connection"), run.why);
            vec![Draft::new(EventKind::Closing, severity, text).of_pool(pool.as_str())]
        }
        Event::CloserChanged { ability } => vec![match ability {
            Ability::Able(_) => Draft::new(EventKind::Closing, Severity::Ok, "The closer can close connections"),
            Ability::Unable(reason) => Draft::new(
                EventKind::Closing,
                Severity::Warning,
                format!("The closer cannot close connections: {reason}"),
            ),
            Ability::Unreachable(reason) => {
                Draft::new(EventKind::Closing, Severity::Warning, format!("The closer is not reachable: {reason}"))
            }
        }],
        Event::Sibling { event } => sibling(event).into_iter().collect(),
        Event::Alive => complaints(facts),
        _ => Vec::new(),
    }
}

/// Returns the entry for an event of the settings file.
pub(in crate::observe::insight) fn settings(event: &SettingsEvent<'_>) -> Draft {
    match event {
        SettingsEvent::Applied { added, removed, pending } => {
            let pending =
                if pending.is_empty() { String::new() } else { format!(", at the next start: {}", pending.join(", ")) };
            let (added, removed) = (added.len() as u64, removed.len() as u64);
            let text = format!(
                "The changed settings are in effect: {} new or changed, {removed} removed{pending}",
                many(added, "pool")
            );
            Draft::new(EventKind::Settings, Severity::Ok, text)
        }
        SettingsEvent::Restored => Draft::new(EventKind::Settings, Severity::Ok, "The settings file is valid again"),
        SettingsEvent::Refused { problems } => {
            let text = format!("The changed settings are refused, the previous ones stay in effect: {problems}");
            Draft::new(EventKind::Settings, Severity::Warning, text)
        }
    }
}

/// Returns the entry for a pool that is new or has other settings. Whether Traefik serves it is not known yet: it may have no
/// such entry point.
fn added(facts: &Facts, spec: &PoolSpec) -> Draft {
    let PoolSpec { name, entry_point, .. } = spec;
    let text = match facts.pools.get(name.as_str()) {
        Some(before) if before.entry_point == entry_point.as_str() => {
            format!("The settings of pool {name} have changed")
        }
        Some(_) => format!("The settings of pool {name} have changed: it is to be served at entry point {entry_point}"),
        None => format!("Pool {name} is to be served at entry point {entry_point}"),
    };
    Draft::new(EventKind::Pool, Severity::Ok, text).of_pool(name.as_str())
}

fn discovered(pool: &str, set: &BackendSet, previous: Option<&BackendSet>, facts: Option<&PoolFacts>) -> Vec<Draft> {
    let (empty, mut entries) = (BackendSet::empty(), Vec::new());
    let previous = previous.or_else(|| facts.and_then(|pool| pool.backends.as_deref()));
    let changes = BackendChanges::between(previous.unwrap_or(&empty), set);
    let mut add = |kind: EventKind, severity: Severity, verb: &str, backends: &[&Backend]| {
        if backends.len() > MAX_SINGLE_ENTRIES || (previous.is_none() && backends.len() > 1) {
            let names = listed(backends).unwrap_or_default();
            let text = format!("{} {verb}: {names}", many(backends.len() as u64, "backend"));
            entries.push(Draft::new(kind, severity, text).of_pool(pool));
        } else {
            let entry = |backend: &&Backend| {
                Draft::new(kind, severity, format!("{} {verb}", shown(backend))).of_pool(pool).of_backend(backend)
            };
            entries.extend(backends.iter().map(entry));
        }
    };
    let came = |state: State| changes.came.iter().copied().filter(move |b| b.state() == state).collect::<Vec<_>>();
    let became = |state: State| changes.became(state).copied().collect::<Vec<_>>();
    add(EventKind::Restarted, Severity::Warning, "has restarted", &changes.restarted);
    add(EventKind::Left, Severity::Ok, "left", &changes.left);
    add(EventKind::Came, Severity::Ok, "came, ready", &came(State::Ready));
    add(EventKind::Came, Severity::Ok, "came, not ready", &came(State::NotReady));
    add(EventKind::Came, Severity::Ok, "came, draining", &came(State::Draining));
    add(EventKind::Draining, Severity::Ok, "drains", &became(State::Draining));
    add(EventKind::NotReady, Severity::Warning, "is no longer ready", &became(State::NotReady));
    add(EventKind::Ready, Severity::Ok, "is ready", &became(State::Ready));
    match (previous.map(|set| set.count(State::Ready)), set.count(State::Ready)) {
        (Some(0), 0) | (None, 1..) => {}
        (_, 0) => {
            let text = "No backend is ready: new connections are closed at once until one is";
            entries.push(Draft::new(EventKind::Pool, Severity::Error, text).of_pool(pool));
        }
        (Some(0), _) => {
            entries.push(Draft::new(EventKind::Pool, Severity::Ok, "A backend is ready again").of_pool(pool));
        }
        _ => {}
    }
    entries
}

fn standing_changed(change: &StandingChange, backend: &Backend) -> Draft {
    let evidence = change.evidence.as_ref().map(|evidence| format!(": {evidence}")).unwrap_or_default();
    let name = shown(backend);
    let draft = match change.to {
        Standing::Suspect => Draft::new(EventKind::Suspect, Severity::Warning, format!("{name} is suspect{evidence}")),
        Standing::Failing => Draft::new(EventKind::Failing, Severity::Warning, format!("{name} is failing{evidence}")),
        _ => Draft::new(EventKind::Back, Severity::Ok, format!("{name} takes new connections again")),
    };
    draft.of_backend(backend)
}

fn uncounted(facts: &Facts, pool: &str, reason: &str) -> Option<Draft> {
    let is_new = facts.pools.get(pool).is_none_or(|pool| pool.load.problem.is_none());
    let text = || format!("Connections cannot be counted, round robin instead: {reason}");
    is_new.then(|| Draft::new(EventKind::Counting, Severity::Warning, text()).of_pool(pool))
}

fn traefik(facts: &TraefikFacts, event: &Event<'_>, now: Instant) -> Option<Draft> {
    let entry = |severity, text: String| Some(Draft::new(EventKind::Traefik, severity, text));
    match event {
        Event::Pushed { applied, .. } => {
            let version = &applied.version;
            match &facts.problem {
                _ if facts.process.is_none() => entry(Severity::Ok, format!("Traefik {version} is configured")),
                _ if facts.is_restart(applied) => {
                    entry(Severity::Warning, format!("Traefik {version} has restarted, and is configured again"))
                }
                Some(problem) if !facts.has_rival => {
                    let attempts = many(problem.attempts, "failed attempt");
                    let text = format!("The configuration is verified again, after {attempts}");
                    entry(Severity::Ok, text).map(|entry| entry.with_gist("verified again"))
                }
                _ => None,
            }
        }
        Event::PushFailed { error } | Event::ProofLost { error } => {
            let is_new = facts.problem.as_ref().is_none_or(|problem| problem.kind != error.kind());
            let is_expected = facts.process.is_none()
                && TraefikFacts::is_of_start(error)
                && facts.is_awaited(facts.problem.is_none(), now);
            match (is_new && !facts.has_rival, is_expected) {
                (true, true) => entry(Severity::Ok, "Waiting for Traefik to start".to_owned()),
                (true, false) => {
                    let text = format!("The configuration is not verified: {error}");
                    entry(Severity::Error, text).map(|entry| entry.with_gist(error.kind().to_string()))
                }
                (false, _) => None,
            }
        }
        Event::RivalFound => entry(Severity::Error, "Another program writes to this Traefik".to_owned()),
        Event::RivalGone => entry(Severity::Ok, "No other program writes to this Traefik any more".to_owned()),
        _ => None,
    }
}

/// Returns an entry for each pool that Traefik does not serve, and for another reason than before if it did not then either.
fn refused(facts: &Facts, faults: &BTreeMap<Name, Error>) -> Vec<Draft> {
    let is_known = |pool: &Name, error: &Error| {
        let fault = facts.pools.get(pool.as_str()).and_then(|pool| pool.fault.as_ref());
        fault.is_some_and(|fault| fault.kind == error.kind())
    };
    let new = faults.iter().filter(|(pool, error)| !is_known(pool, error));
    let entry = |(pool, error): (&Name, &Error)| {
        let text = format!("Pool {pool} is not served: {error}");
        Draft::new(EventKind::Pool, Severity::Error, text).of_pool(pool.as_str()).with_gist(error.kind().to_string())
    };
    new.map(entry).collect()
}

/// Returns an entry for each pool that Traefik serves and did not serve before.
fn served(facts: &Facts, desired: &DesiredPools, faults: &BTreeMap<Name, Error>) -> Vec<Draft> {
    let pushed = desired.keys().filter(|pool| !faults.contains_key(*pool));
    let again = pushed.filter_map(|name| Some((name, facts.pools.get(name.as_str())?)));
    let again = again.filter(|(_, pool)| pool.fault.is_some());
    let entry = |(name, pool): (&Name, &PoolFacts)| {
        let text = format!("Pool {name} is served at entry point {}", pool.entry_point);
        Draft::new(EventKind::Pool, Severity::Ok, text).of_pool(name.as_str())
    };
    again.map(entry).collect()
}

fn sibling(event: &SiblingEvent) -> Option<Draft> {
    let entry = |severity, text: String| Some(Draft::new(EventKind::Sibling, severity, text));
    match event {
        SiblingEvent::Heard { address, .. } => {
            entry(Severity::Ok, format!("Sibling {address} answers: balancing together with it"))
        }
        SiblingEvent::Lost { address, problem, .. } => {
            entry(Severity::Warning, format!("Sibling {address} does not answer: {problem}"))
        }
        SiblingEvent::Left { address, .. } => {
            entry(Severity::Ok, format!("Sibling {address} has left, or has restarted"))
        }
        _ => None,
    }
}

/// Returns the entries for objects that were not complained of before.
fn complaints(facts: &Facts) -> Vec<Draft> {
    let mut entries = Vec::new();
    for (name, pool) in facts.pools.iter().filter(|(_, pool)| pool.has_other_complaints()) {
        let complaints = pool.complaints(MAX_COMPLAINTS).listed;
        for complaint in complaints.iter().filter(|complaint| !pool.complained.contains(complaint)) {
            let what = if complaint.is_left_out { " is left out" } else { "" };
            let text = format!("{}{what}: {}", complaint.object, complaint.text);
            entries.push(Draft::new(EventKind::Refused, Severity::Warning, text).of_pool(name));
        }
    }
    entries
}

impl PoolFacts {
    /// Returns whether there may be other complaints than those that were taken in.
    pub(in crate::observe::insight) fn has_other_complaints(&self) -> bool {
        self.complaints_version() != self.complaints_seen
    }

    /// Takes in the complaints of this moment.
    pub(in crate::observe::insight) fn see_complaints(&mut self) {
        if self.has_other_complaints() {
            self.complaints_seen = self.complaints_version();
            self.complained = self.complaints(MAX_COMPLAINTS).listed.into();
        }
    }
}
