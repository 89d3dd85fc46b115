use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use ilb_traefik_client::{Applied, Error};
use prometheus_client::metrics::histogram::Histogram;
use tokio::time::Instant;

/// What is known of Traefik and of the pushes to it.
#[derive(Debug)]
pub(crate) struct TraefikFacts {
    /// The last push that is proved, with the moment of its last proof. `None`: nothing is proved to be in force now.
    pub(crate) proof: Option<Proof>,
    /// The process that was configured last.
    pub(crate) process: Option<Applied>,
    /// What is wrong; `None` while all is well.
    pub(crate) trouble: Option<Trouble>,
    /// The push under way.
    pub(crate) under_way: Option<UnderWay>,
    /// The last pushes, oldest first.
    pub(crate) last: VecDeque<Push>,
    pub(crate) pushes: BTreeMap<(&'static str, PushResult), u64>,
    /// How pushes failed and proofs were lost, by kind.
    pub(crate) errors: BTreeMap<(&'static str, &'static str), u64>,
    pub(crate) restarts: u64,
    /// How long pushes took, in seconds: those that succeeded, and those that failed.
    pub(crate) durations: (Histogram, Histogram),
}

/// That a configuration is in force.
#[derive(Clone, Debug)]
pub(crate) struct Proof {
    pub(crate) since: Instant,
    pub(crate) at: Instant,
}

/// What has been wrong for a while.
#[derive(Clone, Debug)]
pub(crate) struct Trouble {
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    pub(crate) since: Instant,
    pub(crate) attempts: u64,
}

/// A push that has begun.
#[derive(Clone, Debug)]
pub(crate) struct UnderWay {
    reason: &'static str,
    entries: usize,
    begun: Instant,
}

/// A push that has ended.
#[derive(Clone, Debug)]
pub(crate) struct Push {
    pub(crate) ended: Instant,
    pub(crate) took: Duration,
    pub(crate) reason: &'static str,
    pub(crate) result: PushResult,
    /// The entries of the plan.
    pub(crate) entries: usize,
    pub(crate) error: Option<String>,
}

/// How a push ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PushResult {
    InForce,
    Failed,
}

/// The states that a circuit breaker may be in.
pub(crate) const CIRCUIT_STATES: [&str; 3] = ["closed", "half-open", "open"];

/// How many pushes are remembered.
const REMEMBERED: usize = 20;

/// A proof is repeated twice a second, and each has its time limits: one this old says that something hangs.
const PROOF_HOLDS: Duration = Duration::from_secs(15);

/// Bounds of buckets, in seconds: a push takes 3 ms without throttle, 2 s and more with Traefik's default.
const DURATIONS: [f64; 11] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

/// A histogram of durations in seconds.
pub(super) fn durations() -> Histogram {
    Histogram::new(DURATIONS)
}

impl PushResult {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::InForce => "in force",
            Self::Failed => "failed",
        }
    }
}

impl Default for TraefikFacts {
    fn default() -> Self {
        Self {
            proof: None,
            process: None,
            trouble: None,
            under_way: None,
            last: VecDeque::new(),
            pushes: BTreeMap::new(),
            errors: BTreeMap::new(),
            restarts: 0,
            durations: (durations(), durations()),
        }
    }
}

impl TraefikFacts {
    pub(super) fn push_started(&mut self, reason: &'static str, entries: usize, now: Instant) {
        self.under_way = Some(UnderWay { reason, entries, begun: now });
    }

    pub(super) fn pushed(&mut self, applied: &Applied, now: Instant) {
        self.ended(PushResult::InForce, None, now);
        if self.process.as_ref().is_some_and(|before| before.started != applied.started) {
            self.restarts += 1;
        }
        self.process = Some(applied.clone());
        let since = self.proof.as_ref().map_or(now, |proof| proof.since);
        self.proof = Some(Proof { since, at: now });
        self.trouble = None;
    }

    pub(super) fn push_failed(&mut self, error: &Error, now: Instant) {
        self.ended(PushResult::Failed, Some(error.to_string()), now);
        self.proof = None;
        self.wrong("push", error, now);
    }

    pub(super) fn proved(&mut self, now: Instant) {
        if let Some(proof) = &mut self.proof {
            proof.at = now;
        }
    }

    pub(super) fn lost(&mut self, error: &Error, now: Instant) {
        self.proof = None;
        self.wrong("proof", error, now);
    }

    /// Why nothing is proved to be in force now, if so.
    pub(crate) fn not_proved(&self, now: Instant) -> Option<String> {
        match (&self.proof, &self.trouble) {
            (Some(proof), _) if now.saturating_duration_since(proof.at) <= PROOF_HOLDS => None,
            (Some(_), _) => Some(format!("the last proof is more than {} s old", PROOF_HOLDS.as_secs())),
            (None, Some(trouble)) => Some(trouble.text.clone()),
            (None, None) => Some("nothing has been pushed yet".to_owned()),
        }
    }

    /// Of [`CIRCUIT_STATES`] the one that applies: whether Traefik is called freely, tried once after a failure, or left
    /// alone until the pause after a failure is over.
    pub(crate) fn circuit(&self) -> &'static str {
        match (&self.trouble, &self.under_way) {
            (None, _) => "closed",
            (Some(_), Some(_)) => "half-open",
            (Some(_), None) => "open",
        }
    }

    fn wrong(&mut self, during: &'static str, error: &Error, now: Instant) {
        *self.errors.entry((during, error.kind())).or_default() += 1;
        let (since, attempts) = self.trouble.as_ref().map_or((now, 0), |trouble| (trouble.since, trouble.attempts));
        self.trouble = Some(Trouble { kind: error.kind(), text: error.to_string(), since, attempts: attempts + 1 });
    }

    fn ended(&mut self, result: PushResult, error: Option<String>, now: Instant) {
        let Some(UnderWay { reason, entries, begun }) = self.under_way.take() else { return };
        *self.pushes.entry((reason, result)).or_default() += 1;
        // Of failures in a row the newest tells enough: they would push everything else out of the memory.
        let again = |last: &Push| result == PushResult::Failed && last.result == result && last.error == error;
        if self.last.back().is_some_and(again) || self.last.len() == REMEMBERED {
            if self.last.back().is_some_and(again) {
                self.last.pop_back()
            } else {
                self.last.pop_front()
            };
        }
        let took = now.saturating_duration_since(begun);
        let durations = match result {
            PushResult::InForce => &self.durations.0,
            PushResult::Failed => &self.durations.1,
        };
        durations.observe(took.as_secs_f64());
        self.last.push_back(Push { ended: now, took, reason, result, entries, error });
    }
}
