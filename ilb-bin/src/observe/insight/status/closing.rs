//! The status of connections that are closed on purpose.

use std::fmt::Write as _;

use ilb_connections::Ability;
use ilb_controller::Run;
use ilb_reconciler::closing::{ClosingState, Hold, Outlook, Why};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::StatusSummary;
use crate::observe::insight::{
    PoolClosings,
    closing::CloserFacts,
    numbers::{age, many, span},
    words::Severity,
};

/// Closings of a pool.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ClosingStatus {
    /// The state, such as `idle`, `waiting`, `closing` or `paused`.
    pub(crate) state: String,
    /// The reason of the state, such as `rebalance` or `starting`.
    pub(crate) why: Option<String>,
    pub(crate) summary: StatusSummary,
    /// True if nothing is closed: that was asked for, or there is no closer that can.
    pub(crate) dry_run: bool,
    /// Reasons for which connections may be closed.
    pub(crate) rules: Vec<String>,
    /// Connections that are still to be closed for the present reason.
    pub(crate) left: u64,
    /// Connections that were closed and whose clients have not come back yet.
    pub(crate) away: u64,
    pub(crate) run: Option<RunStatus>,
}

/// The closings for one reason that are going on.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct RunStatus {
    pub(crate) why: String,
    /// Connections that were to be closed at its beginning.
    pub(crate) planned: u64,
    pub(crate) closed: u64,
    /// Connections that were left as they were, because a request or data was under way.
    pub(crate) spared: u64,
    pub(crate) for_seconds: f64,
}

/// The process that closes connections.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct CloserStatus {
    pub(crate) able: bool,
    pub(crate) summary: StatusSummary,
}

impl PoolClosings {
    /// Returns the status; `None` if connections of the pool are never closed.
    pub(super) fn status(&self, now: Instant) -> Option<ClosingStatus> {
        let facts = &self.facts;
        self.is_on().then(|| ClosingStatus {
            state: self.state.name().to_owned(),
            why: match self.state {
                ClosingState::Idle => None,
                ClosingState::Waiting(hold) => Some(hold.name().to_owned()),
                ClosingState::Closing { why, .. } => Some(why.to_string()),
                ClosingState::Paused(reason, _) => Some(Hold::Paused(reason).name().to_owned()),
            },
            summary: self.summary(now),
            dry_run: facts.is_dry_run,
            rules: self.reasons().map(|why| why.to_string()).collect(),
            left: facts.left,
            away: facts.away,
            run: self.run.as_ref().map(|run| status_of(run, now)),
        })
    }

    fn summary(&self, now: Instant) -> StatusSummary {
        if let Some(outlook) = &self.planned {
            return self.outlook(outlook);
        }
        let dry_run = if self.facts.is_dry_run { "Dry run: " } else { "" };
        let (severity, text) = match self.state {
            ClosingState::Idle => (Severity::Ok, "no connection to close".to_owned()),
            ClosingState::Waiting(hold) => (Severity::Ok, format!("waiting, because {hold}")),
            ClosingState::Closing { why, left } => {
                (Severity::Ok, format!("{}, {} left to close", doing(why), many(left, "connection")))
            }
            ClosingState::Paused(reason, until) => {
                let left = until.saturating_duration_since(now.into_std()).as_secs_f64();
                (Severity::Warning, format!("paused for {}, because {reason}", span(left)))
            }
        };
        let rules = self.reasons().map(Why::as_str).collect::<Vec<_>>().join(", ");
        let mut detail = format!("rules: {rules}");
        if let Some(run) = &self.run {
            let _ = write!(detail, "; {} of {} closed", run.closed, run.planned);
        }
        if self.facts.away > 0 {
            let _ = write!(detail, "; {} not back yet", many(self.facts.away, "client"));
        }
        StatusSummary::new(severity, capitalized(&format!("{dry_run}{text}")), detail)
    }
}

impl PoolClosings {
    /// Returns in words what would be closed, as far as one sample shows it.
    fn outlook(&self, outlook: &Outlook) -> StatusSummary {
        let Outlook { connections, to_move, moves_per_second, to_drain, .. } = *outlook;
        let mut parts = Vec::new();
        if to_move > 0 {
            parts.push(format!(
                "{to_move} of {connections} connections would be moved, at most {moves_per_second} a second"
            ));
        }
        if to_drain > 0 {
            parts.push(format!("{} of draining backends would be closed in time", many(to_drain, "connection")));
        }
        let text = if parts.is_empty() { "no connection would be closed now".to_owned() } else { parts.join("; ") };
        let rules = self.reasons().map(Why::as_str).collect::<Vec<_>>().join(", ");
        let age = if self.policy.age.is_some() { "; only a running ilb knows how old connections are" } else { "" };
        StatusSummary::new(Severity::Ok, capitalized(&text), format!("rules: {rules}{age}"))
    }
}

impl CloserFacts {
    /// Returns the status; `None` if there is no closer, or it has not been asked yet.
    pub(super) fn status(&self) -> Option<CloserStatus> {
        let ability = self.ability.as_ref()?;
        let (severity, text, detail) = match ability {
            Ability::Able(limits) => {
                (Severity::Ok, "Can close connections", format!("at most {} a second", limits.max_rate()))
            }
            Ability::Unable(reason) => (Severity::Warning, "Cannot close connections", reason.clone()),
            Ability::Unreachable(reason) => (Severity::Warning, "Not reachable", reason.clone()),
        };
        let able = matches!(ability, Ability::Able(_));
        Some(CloserStatus { able, summary: StatusSummary::new(severity, text, detail) })
    }
}

fn status_of(run: &Run, now: Instant) -> RunStatus {
    RunStatus {
        why: run.why.to_string(),
        planned: run.planned,
        closed: run.closed,
        spared: run.spared,
        for_seconds: age(run.begun, now),
    }
}

fn doing(why: Why) -> &'static str {
    match why {
        Why::Rebalance => "rebalancing",
        Why::Drain => "draining",
        Why::Role => "leaving a backend that no longer matches the selector",
        Why::Age => "ending connections that are too old",
    }
}

fn capitalized(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
