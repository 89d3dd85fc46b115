//! The decisions of a pool balanced by round robin.

use std::sync::Arc;

use ilb_discovery::BackendSet;

use crate::{
    decision::{Decision, Method},
    plan::Plan,
};

/// Takes each ready backend in turn, in proportion to its capacity.
///
/// Holds the decision for the last set of backends. The decision is replaced only when a set needs another plan, so a
/// change of backends that take no connections leads to no push.
#[derive(Debug, Default)]
pub struct RoundRobin {
    decision: Option<Arc<Decision>>,
}

impl RoundRobin {
    /// Creates a round robin that knows no backends yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates the round robin of a pool that replaces another one, for which `before` was decided. As long as the plan
    /// stays the same, so does the decision.
    pub fn from_decision(before: Arc<Decision>) -> Self {
        Self { decision: (before.method == Method::RoundRobin).then_some(before) }
    }

    /// Returns the decision for a complete set of backends: the last one, if it has the same plan.
    pub fn decide(&mut self, set: &BackendSet) -> Arc<Decision> {
        let plan = Plan::round_robin(set);
        match &self.decision {
            Some(decision) if decision.plan == plan => Arc::clone(decision),
            before => {
                let number = before.as_ref().map_or(1, |before| before.number + 1);
                let decision = Arc::new(Decision::round_robin(number, plan));
                self.decision = Some(Arc::clone(&decision));
                decision
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ilb_discovery::{Backend, State};

    use super::*;

    fn set(states: &[State]) -> BackendSet {
        (1..).zip(states).map(|(last, state)| Backend::new(([10, 0, 0, last], 1).into(), *state)).collect()
    }

    #[test]
    fn the_decision_changes_only_with_the_plan() {
        let mut round_robin = RoundRobin::new();
        let first = round_robin.decide(&set(&[State::Ready, State::NotReady]));
        assert!(Arc::ptr_eq(&first, &round_robin.decide(&set(&[State::Ready, State::Draining]))));
        let second = round_robin.decide(&set(&[State::Ready, State::Ready]));
        assert!(!Arc::ptr_eq(&first, &second));
        assert_eq!((first.number, second.number), (1, 2));
    }

    #[test]
    fn a_pool_that_replaces_another_keeps_its_decision_while_the_plan_is_the_same() {
        let before = RoundRobin::new().decide(&set(&[State::Ready]));
        let mut round_robin = RoundRobin::from_decision(Arc::clone(&before));
        assert!(Arc::ptr_eq(&before, &round_robin.decide(&set(&[State::Ready]))));
    }
}
