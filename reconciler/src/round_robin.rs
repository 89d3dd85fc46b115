//! The decisions of a pool that is balanced by round robin.

use std::sync::Arc;

use ilb_discovery::BackendSet;

use crate::{Decision, Method, Plan};

/// Round robin: each ready backend in turn, in proportion to its capacity.
///
/// Holds the decision for the last set of backends. It is replaced only when a set asks for another plan, so a change of
/// backends that take no connections leads to no push.
#[derive(Debug, Default)]
pub struct RoundRobin {
    decision: Option<Arc<Decision>>,
}

impl RoundRobin {
    /// Creates a round robin that knows no backends yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates the round robin of a pool that takes the place of one for which `before` was decided. While the plan stays
    /// the same, so does the decision.
    pub fn from_decision(before: Arc<Decision>) -> Self {
        Self { decision: (before.method == Method::RoundRobin).then_some(before) }
    }

    /// Takes in a complete set of backends and returns the decision for it.
    pub fn backends(&mut self, set: &BackendSet) -> Arc<Decision> {
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
    fn only_another_plan_is_another_decision() {
        let mut round_robin = RoundRobin::new();
        let first = round_robin.backends(&set(&[State::Ready, State::NotReady]));
        assert!(Arc::ptr_eq(&first, &round_robin.backends(&set(&[State::Ready, State::Draining]))));
        let second = round_robin.backends(&set(&[State::Ready, State::Ready]));
        assert!(!Arc::ptr_eq(&first, &second));
        assert_eq!((first.number, second.number), (1, 2));
    }

    #[test]
    fn a_pool_in_the_place_of_another_keeps_its_decision_while_the_plan_is_the_same() {
        let before = RoundRobin::new().backends(&set(&[State::Ready]));
        let mut round_robin = RoundRobin::from_decision(Arc::clone(&before));
        assert!(Arc::ptr_eq(&before, &round_robin.backends(&set(&[State::Ready]))));
    }
}
