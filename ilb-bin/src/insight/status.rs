use std::time::Duration;

use ilb_discovery::State;
use ilb_reconciler::Standing;
use serde::Serialize;
use tokio::time::Instant;

use super::{
    BackendStatus, Facts, PoolFacts, TraefikFacts,
    load::History,
    traefik::{Push, Trouble},
};

/// Everything that is known, at one moment: what `/status` answers. `docs/status.schema.json` describes it; fields are
/// only ever added.
///
/// Times are ages in seconds, not dates: they stay true when a clock jumps.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Status {
    /// The version of this form.
    schema: u32,
    version: &'static str,
    uptime_seconds: f64,
    /// Whether every pool is proved to be in force in the Traefik that runs now.
    ready: bool,
    /// Why it is not.
    not_ready: Vec<String>,
    traefik: TraefikStatus,
    pools: Vec<PoolStatus>,
}

#[derive(Clone, Debug, Serialize)]
struct TraefikStatus {
    /// `waiting`, `updating`, `in force` or `failing`.
    state: &'static str,
    /// `closed`, `half-open` or `open`.
    circuit: &'static str,
    problem: Option<Problem>,
    in_force_seconds: Option<f64>,
    proof_age_seconds: Option<f64>,
    revision: Option<String>,
    version: Option<String>,
    /// When the process started, as Traefik says itself.
    started: Option<String>,
    restarts_seen: u64,
    /// The last pushes, newest first.
    pushes: Vec<PushStatus>,
}

#[derive(Clone, Debug, Serialize)]
struct Problem {
    kind: &'static str,
    text: String,
    for_seconds: f64,
    attempts: u64,
}

#[derive(Clone, Debug, Serialize)]
struct PushStatus {
    age_seconds: f64,
    took_seconds: f64,
    reason: &'static str,
    result: &'static str,
    entries: usize,
    error: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
struct PoolStatus {
    name: String,
    entry_point: String,
    method: &'static str,
    in_force: bool,
    discovery: DiscoveryStatus,
    counting: CountingStatus,
    count: StateCounts,
    imbalance: ImbalanceStatus,
    /// Backends that are not in the list, because it would be too long for a page. `/status` itself leaves out none.
    omitted: usize,
    backends: Vec<BackendStatus>,
}

#[derive(Clone, Debug, Serialize)]
struct DiscoveryStatus {
    /// `starting`, `up to date` or `stale`.
    state: &'static str,
    problem: Option<Problem>,
    contact_age_seconds: Option<f64>,
}

#[derive(Clone, Debug, Serialize)]
struct CountingStatus {
    /// `counting`, `impossible` or `off`.
    state: &'static str,
    problem: Option<String>,
    age_seconds: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct StateCounts {
    pub(crate) ready: usize,
    pub(crate) draining: usize,
    pub(crate) not_ready: usize,
    pub(crate) suspect: usize,
}

#[derive(Clone, Debug, Serialize)]
struct ImbalanceStatus {
    /// How far the fullest backend is above the mean, relative to the mean, per share of capacity.
    ratio: Option<f64>,
    /// The same in connections per share.
    connections: Option<f64>,
    step_seconds: u64,
    /// The mean ratio of each step, oldest first.
    history: Vec<Option<f64>>,
}

impl Facts {
    /// What `/status` answers, with at most so many backends per pool.
    pub(crate) fn status(&self, longest_list: usize, now: Instant) -> Status {
        let not_ready = self.not_ready(now);
        Status {
            schema: 1,
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: age(self.started, now),
            ready: not_ready.is_empty(),
            traefik: TraefikStatus::of(&self.traefik, now),
            pools: self
                .pools
                .iter()
                .map(|(name, pool)| {
                    let proved = self.traefik.not_proved(now).is_none();
                    PoolStatus::of(name, pool, proved, longest_list, now)
                })
                .collect(),
            not_ready,
        }
    }
}

impl TraefikStatus {
    fn of(facts: &TraefikFacts, now: Instant) -> Self {
        Self {
            state: match (&facts.proof, &facts.trouble, &facts.under_way) {
                (_, Some(_), _) => "failing",
                (_, None, Some(_)) => "updating",
                (Some(_), None, None) => "in force",
                (None, None, None) => "waiting",
            },
            circuit: facts.circuit(),
            problem: facts.trouble.as_ref().map(|trouble| Problem::of(trouble, now)),
            in_force_seconds: facts.proof.as_ref().map(|proof| age(proof.since, now)),
            proof_age_seconds: facts.proof.as_ref().map(|proof| age(proof.at, now)),
            revision: facts.process.as_ref().map(|process| process.revision.to_string()),
            version: facts.process.as_ref().map(|process| process.version.clone()),
            started: facts.process.as_ref().map(|process| process.started.clone()),
            restarts_seen: facts.restarts,
            pushes: facts.last.iter().rev().map(|push| PushStatus::of(push, now)).collect(),
        }
    }
}

impl Problem {
    fn of(trouble: &Trouble, now: Instant) -> Self {
        let Trouble { kind, text, since, attempts } = trouble;
        Self { kind, text: text.clone(), for_seconds: age(*since, now), attempts: *attempts }
    }
}

impl PushStatus {
    fn of(push: &Push, now: Instant) -> Self {
        Self {
            age_seconds: age(push.ended, now),
            took_seconds: push.took.as_secs_f64(),
            reason: push.reason,
            result: push.result.as_str(),
            entries: push.entries,
            error: push.error.clone(),
        }
    }
}

impl PoolStatus {
    fn of(name: &str, pool: &PoolFacts, proved: bool, longest_list: usize, now: Instant) -> Self {
        let mut backends = pool.backends(usize::MAX);
        let omitted = backends.len().saturating_sub(longest_list);
        if omitted > 0 {
            // What is out of the ordinary first, then the fullest.
            let rank = |b: &BackendStatus| (b.state == State::Ready.as_str(), std::cmp::Reverse(b.established));
            backends.sort_by_key(rank);
            backends.truncate(longest_list);
            backends.sort_by_key(|b| b.address);
        }
        let imbalance = pool.imbalance();
        Self {
            name: name.to_owned(),
            entry_point: pool.entry_point.clone(),
            method: pool.method,
            in_force: proved && pool.in_force.is_some(),
            discovery: DiscoveryStatus {
                state: match (&pool.stale, &pool.seen) {
                    (Some(_), _) => "stale",
                    (None, None) => "starting",
                    (None, Some(_)) => "up to date",
                },
                problem: pool.stale.as_ref().map(|trouble| Problem::of(trouble, now)),
                contact_age_seconds: pool.since_contact().map(|age| age.as_secs_f64()),
            },
            counting: CountingStatus {
                state: match (&pool.load.latest, &pool.load.problem) {
                    (Some(_), _) => "counting",
                    (None, Some(_)) => "impossible",
                    (None, None) => "off",
                },
                problem: pool.load.problem.as_ref().map(|(reason, _)| reason.clone()),
                age_seconds: pool.load.latest.as_ref().map(|latest| age(latest.at, now)),
            },
            count: pool.count(),
            imbalance: ImbalanceStatus {
                ratio: imbalance.map(|i| i.ratio),
                connections: imbalance.map(|i| i.connections),
                step_seconds: History::STEP.as_secs(),
                history: pool.load.history.means().collect(),
            },
            omitted,
            backends,
        }
    }
}

impl PoolFacts {
    /// How many backends are in each state. One that is a suspect counts as nothing else.
    pub(crate) fn count(&self) -> StateCounts {
        let mut count = StateCounts::default();
        for backend in self.seen.iter().flat_map(|seen| seen.iter()) {
            *match self.standing(backend) {
                Standing::State(State::Ready) => &mut count.ready,
                Standing::State(State::Draining) => &mut count.draining,
                Standing::Suspect => &mut count.suspect,
                _ => &mut count.not_ready,
            } += 1;
        }
        count
    }
}

fn age(moment: Instant, now: Instant) -> f64 {
    duration(now.saturating_duration_since(moment))
}

/// To the millisecond: more digits are only noise to a reader.
#[allow(clippy::cast_precision_loss)] // milliseconds of 285 000 years
fn duration(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1_000.0
}
