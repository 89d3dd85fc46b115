use std::{borrow::Cow, time::Duration};

use ilb_discovery::State;
use ilb_reconciler::decision::Standing;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    BackendStatus, Facts, PoolFacts, TraefikFacts,
    load::History,
    traefik::{Push, Trouble},
};

/// Everything that is known, at one moment: what `/status` answers. `docs/status.schema.json` describes it; fields are
/// only ever added, so that an ilb also understands the status of a newer one.
///
/// Times are ages in seconds, not dates: they stay true when a clock jumps.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Status {
    /// The version of this form.
    pub(crate) schema: u32,
    pub(crate) version: Word,
    pub(crate) uptime_seconds: f64,
    /// Whether every pool is proved to be in force in the Traefik that runs now.
    pub(crate) ready: bool,
    /// Why it is not.
    pub(crate) not_ready: Vec<String>,
    pub(crate) traefik: TraefikStatus,
    pub(crate) pools: Vec<PoolStatus>,
}

/// One of a few words.
pub(crate) type Word = Cow<'static, str>;

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct TraefikStatus {
    /// `waiting`, `updating`, `in force` or `failing`.
    pub(crate) state: Word,
    /// `closed`, `half-open` or `open`.
    pub(crate) circuit: Word,
    pub(crate) problem: Option<Problem>,
    pub(crate) in_force_seconds: Option<f64>,
    pub(crate) proof_age_seconds: Option<f64>,
    pub(crate) revision: Option<String>,
    pub(crate) version: Option<String>,
    /// When the process started, as Traefik says itself.
    pub(crate) started: Option<String>,
    pub(crate) restarts_seen: u64,
    /// The last pushes, newest first.
    pub(crate) pushes: Vec<PushStatus>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Problem {
    pub(crate) kind: Word,
    pub(crate) text: String,
    pub(crate) for_seconds: f64,
    pub(crate) attempts: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct PushStatus {
    pub(crate) age_seconds: f64,
    pub(crate) took_seconds: f64,
    pub(crate) reason: Word,
    pub(crate) result: Word,
    pub(crate) entries: usize,
    pub(crate) error: Option<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct PoolStatus {
    pub(crate) name: String,
    pub(crate) entry_point: String,
    pub(crate) method: Word,
    pub(crate) in_force: bool,
    pub(crate) discovery: DiscoveryStatus,
    pub(crate) counting: CountingStatus,
    pub(crate) count: StateCounts,
    pub(crate) imbalance: ImbalanceStatus,
    /// Backends that are not in the list, because it would be too long for a page. `/status` itself leaves out none.
    pub(crate) omitted: usize,
    pub(crate) backends: Vec<BackendStatus>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct DiscoveryStatus {
    /// `starting`, `up to date` or `stale`.
    pub(crate) state: Word,
    pub(crate) problem: Option<Problem>,
    pub(crate) contact_age_seconds: Option<f64>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct CountingStatus {
    /// `counting`, `impossible` or `off`.
    pub(crate) state: Word,
    pub(crate) problem: Option<String>,
    pub(crate) age_seconds: Option<f64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct StateCounts {
    pub(crate) ready: usize,
    pub(crate) draining: usize,
    pub(crate) not_ready: usize,
    pub(crate) suspect: usize,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ImbalanceStatus {
    /// How far the fullest backend is above the mean, relative to the mean, per share of capacity.
    pub(crate) ratio: Option<f64>,
    /// The same in connections per share.
    pub(crate) connections: Option<f64>,
    pub(crate) step_seconds: u64,
    /// The mean ratio of each step, oldest first.
    pub(crate) history: Vec<Option<f64>>,
}

impl Facts {
    /// What `/status` answers, with at most so many backends per pool.
    pub(crate) fn status(&self, longest_list: usize, now: Instant) -> Status {
        let not_ready = self.not_ready(now);
        Status {
            schema: 1,
            version: env!("CARGO_PKG_VERSION").into(),
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
            }
            .into(),
            circuit: facts.circuit().into(),
            problem: facts.trouble.as_ref().map(|trouble| Problem::of(trouble, now)),
            in_force_seconds: facts.proof.as_ref().map(|proof| age(proof.since, now)),
            proof_age_seconds: facts.proof.as_ref().map(|proof| age(proof.at, now)),
            revision: facts.process.as_ref().map(|process| process.revision.to_string()),
            version: facts.process.as_ref().map(|process| process.version.to_string()),
            started: facts.process.as_ref().map(|process| process.started.to_string()),
            restarts_seen: facts.restarts,
            pushes: facts.last.iter().rev().map(|push| PushStatus::of(push, now)).collect(),
        }
    }
}

impl Problem {
    fn of(trouble: &Trouble, now: Instant) -> Self {
        let Trouble { kind, text, since, attempts } = trouble;
        Self { kind: Word::Borrowed(kind), text: text.clone(), for_seconds: age(*since, now), attempts: *attempts }
    }
}

impl PushStatus {
    fn of(push: &Push, now: Instant) -> Self {
        Self {
            age_seconds: age(push.ended, now),
            took_seconds: push.took.as_secs_f64(),
            reason: push.reason.into(),
            result: push.result.as_str().into(),
            entries: push.entries,
            error: push.error.clone(),
        }
    }
}

impl PoolStatus {
    fn of(name: &str, pool: &PoolFacts, proved: bool, longest_list: usize, now: Instant) -> Self {
        let mut backends = pool.backends(usize::MAX);
        let omitted = BackendStatus::leave_out(&mut backends, longest_list);
        let imbalance = pool.imbalance();
        Self {
            name: name.to_owned(),
            entry_point: pool.entry_point.clone(),
            method: pool.method.as_str().into(),
            in_force: proved && pool.in_force.is_some(),
            discovery: DiscoveryStatus {
                state: match (&pool.stale, &pool.seen) {
                    (Some(_), _) => "stale",
                    (None, None) => "starting",
                    (None, Some(_)) => "up to date",
                }
                .into(),
                problem: pool.stale.as_ref().map(|trouble| Problem::of(trouble, now)),
                contact_age_seconds: pool.since_contact().map(|age| age.as_secs_f64()),
            },
            counting: CountingStatus {
                state: match (&pool.load.latest, &pool.load.problem) {
                    (Some(_), _) => "counting",
                    (None, Some(_)) => "impossible",
                    (None, None) => "off",
                }
                .into(),
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
