//! The facts about connections that are closed on purpose.

use std::{collections::BTreeMap, sync::Arc};

use ilb_connections::{Ability, Refusal};
use ilb_controller::{ClosingFacts, ClosingResult, Run};
use ilb_reconciler::{
    ClosingPolicy,
    closing::{ClosingState, Order, Outlook, Why},
};

/// The closings of one pool.
#[derive(Clone, Debug)]
pub(crate) struct PoolClosings {
    pub(crate) policy: Arc<ClosingPolicy>,
    pub(crate) state: ClosingState,
    pub(crate) facts: ClosingFacts,
    /// Connections that the rules are about, in a plan.
    pub(crate) planned: Option<Outlook>,
    /// The run that is going on.
    pub(crate) run: Option<Run>,
    /// Number of orders by reason and result.
    pub(crate) results: BTreeMap<(Why, &'static str), u64>,
}

/// The process that closes connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct CloserFacts {
    /// Its ability; `None` if there is none, or it has not been asked yet.
    pub(crate) ability: Option<Ability>,
    /// Number of refused orders by the reason of the refusal.
    pub(crate) refused: BTreeMap<&'static str, u64>,
    /// Number of orders about halves by their result.
    pub(crate) halves: BTreeMap<&'static str, u64>,
}

/// All reasons to close connections, in the order in which they are shown.
pub(crate) const REASONS: [Why; 4] = [Why::Rebalance, Why::Drain, Why::Role, Why::Age];

impl PoolClosings {
    pub(super) fn new(policy: Arc<ClosingPolicy>) -> Self {
        let (state, facts) = (ClosingState::Idle, ClosingFacts::default());
        Self { policy, state, facts, planned: None, run: None, results: BTreeMap::new() }
    }

    /// Returns `true` if connections of the pool are ever closed, or would be.
    pub(crate) fn is_on(&self) -> bool {
        !self.policy.is_off()
    }

    /// Returns the reasons for which connections of the pool may be closed.
    pub(crate) fn reasons(&self) -> impl Iterator<Item = Why> {
        let ClosingPolicy { rebalance, drain, role, age, .. } = &*self.policy;
        let is_on = [rebalance.is_some(), drain.is_some(), role.is_some(), age.is_some()];
        REASONS.into_iter().zip(is_on).filter(|(_, is_on)| *is_on).map(|(why, _)| why)
    }

    /// Takes over the counts of the pool that this one replaces.
    pub(super) fn replacing(&mut self, before: Self) {
        self.results = before.results;
    }

    pub(super) fn closed(&mut self, order: &Order, result: &ClosingResult) {
        *self.results.entry((order.why, result.name())).or_default() += 1;
        if let Some(run) = self.run.as_mut().filter(|run| run.why == order.why) {
            match result {
                ClosingResult::Closed | ClosingResult::Shown => run.closed += 1,
                ClosingResult::Gone | ClosingResult::NotNow(_) => run.spared += 1,
                _ => {}
            }
        }
    }
}

impl CloserFacts {
    pub(super) fn refused(&mut self, refusal: Refusal) {
        *self.refused.entry(refusal.name()).or_default() += 1;
    }

    pub(super) fn half_closed(&mut self, result: &ClosingResult) {
        *self.halves.entry(result.name()).or_default() += 1;
        if let ClosingResult::Refused(refusal) = result {
            self.refused(*refusal);
        }
    }
}
