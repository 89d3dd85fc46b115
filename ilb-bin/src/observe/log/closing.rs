//! The log of connections that are closed on purpose: a line for the begin and the end of a run, and for what goes wrong.

use std::collections::BTreeSet;

use ilb_connections::{Ability, Refusal};
use ilb_controller::{ClosingResult, Run, RunEnd};
use ilb_reconciler::closing::{AnswerRule, ClosingState, Half, Order, PauseReason, Why};
use ilb_traefik_client::Name;

/// Refusals and failures of the closer that have been logged, so that each is logged once.
#[derive(Debug, Default)]
pub(super) struct ClosingLog {
    refusals: BTreeSet<(Name, &'static str)>,
    failure: Option<String>,
    /// Errors about halves that have been logged, likewise.
    half_errors: BTreeSet<String>,
}

impl ClosingLog {
    /// Logs the result of an order.
    pub(super) fn closed(&mut self, pool: &Name, order: &Order, result: &ClosingResult) {
        let (backend, local, why) = (order.backend, order.local, order.why);
        let only_if = match order.only_if.answer {
            AnswerRule::Answered => "answered",
            AnswerRule::MaybeAnswered => "maybe answered",
            AnswerRule::Any => "any",
        };
        let detail = detail(result);
        tracing::debug!(%pool, %backend, %local, %why, only_if, result = result.name(), detail, "Closing a connection");
        match result {
            ClosingResult::Refused(refusal) => self.refused(pool, order, *refusal),
            ClosingResult::Failed(error) if self.failure.as_ref() != Some(error) => {
                self.failure = Some(error.clone());
                tracing::warn!(%pool, %backend, error, "The closer failed: no connection is closed for a while");
            }
            ClosingResult::Closed => self.failure = None,
            _ => {}
        }
    }

    fn refused(&mut self, pool: &Name, order: &Order, refusal: Refusal) {
        if self.refusals.insert((pool.clone(), refusal.name())) {
            let (backend, local) = (order.backend, order.local);
            tracing::warn!(
                %pool, %backend, %local, reason = %refusal,
                "The closer refuses to close connections: none is closed for a while"
            );
        }
    }

    /// Logs what has become of the half of a client's connection.
    pub(super) fn half_closed(&mut self, half: &Half, result: &ClosingResult) {
        let (client, local, detail) = (half.client, half.local, detail(result));
        tracing::debug!(
            %client, %local, result = result.name(), detail,
            "Ending the connection of a client that ignores that its backend's was closed"
        );
        if let (ClosingResult::Refused(_) | ClosingResult::Failed(_), Some(reason)) = (result, detail)
            && self.half_errors.insert(reason.clone())
        {
            tracing::warn!(
                %client, %local, reason,
                "The closer does not end the connection of a client that ignores that its backend's was closed"
            );
        }
    }

    /// Logs that what closings leave behind is not known.
    pub(super) fn listing_halves_failed(&mut self, error: &ilb_connections::Error) {
        let error = error.with_causes().to_string();
        if self.half_errors.insert(error.clone()) {
            tracing::warn!(
                error,
                "Cannot list the connections of clients that ignore that their backend's was closed: Traefik keeps them until \
                 its terminationDelay"
            );
        }
    }

    /// Logs what the closer can do.
    pub(super) fn closer_changed(&mut self, ability: &Ability) {
        // A closer with other limits may refuse something else.
        self.refusals.clear();
        self.failure = None;
        self.half_errors.clear();
        match ability {
            Ability::Able(limits) => {
                tracing::info!(
                    max_rate = limits.max_rate(),
                    max_per_hour = limits.max_per_hour(),
                    "The closer can close connections"
                );
            }
            Ability::Unable(reason) => {
                tracing::warn!(reason, "The closer cannot close connections: what it would close is only shown");
            }
            Ability::Unreachable(reason) => {
                tracing::warn!(reason, "The closer is not reachable: what it would close is only shown");
            }
        }
    }
}

/// Returns why an order was not executed.
fn detail(result: &ClosingResult) -> Option<String> {
    match result {
        ClosingResult::NotNow(condition) => Some(condition.to_string()),
        ClosingResult::Refused(refusal) => Some(refusal.to_string()),
        ClosingResult::Failed(error) => Some(error.clone()),
        _ => None,
    }
}

/// Logs the beginning of a run.
pub(super) fn began(pool: &Name, run: &Run) {
    let (planned, connections, dry_run) = (run.planned, run.connections, run.is_dry_run);
    let text = match run.why {
        Why::Rebalance => "Rebalancing",
        Why::Drain => "Closing what is left on draining backends",
        Why::Role => "Closing the connections of backends that no longer match the selector",
        Why::Age => "Closing connections that are too old",
    };
    let only = if dry_run { " (dry run: none is closed)" } else { "" };
    tracing::info!(%pool, why = %run.why, dry_run, "{text}: {planned} of {connections} connections{only}");
}

/// Logs the end of a run.
pub(super) fn ended(pool: &Name, run: &Run, end: RunEnd) {
    let (closed, spared, dry_run, seconds) = (run.closed, run.spared, run.is_dry_run, run.begun.elapsed().as_secs());
    let why = run.why;
    let end = match end {
        RunEnd::Done => "done".to_owned(),
        RunEnd::Interrupted(hold) => format!("interrupted: {hold}"),
        RunEnd::Paused(reason, _) => format!("paused: {reason}"),
        _ => "replaced".to_owned(),
    };
    let verb = if dry_run { "would have been closed" } else { "closed" };
    tracing::info!(%pool, %why, spared, dry_run, end, "{closed} connections {verb} in {seconds} s");
}

/// Logs a change of the state, which is news for everybody if it is a pause.
pub(super) fn state_changed(pool: &Name, state: ClosingState) {
    let text = match state {
        ClosingState::Waiting(hold) => Some(hold.to_string()),
        ClosingState::Closing { why, left } => Some(format!("{left} left to close for {why}")),
        _ => None,
    };
    tracing::debug!(%pool, state = state.name(), text, "The state of the closings has changed");
    let ClosingState::Paused(reason, until) = state else { return };
    let seconds = until.saturating_duration_since(tokio::time::Instant::now().into_std()).as_secs();
    let help = match reason {
        PauseReason::ClientsStayAway => "clients of this pool do not connect again: switch off the rules under closing",
        PauseReason::CloserFailed => "see the log of the container closer",
    };
    tracing::warn!(%pool, %reason, help, "No connection is closed for the next {seconds} s");
}
