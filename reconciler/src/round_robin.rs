//! The decisions of a pool balanced by round robin.

use std::sync::{Arc, Weak};

use ilb_discovery::BackendSet;

use crate::{
    decision::{Decision, Method},
    plan::Plan,
};

/// Takes each ready backend in turn, in proportion to its capacity.
///
/// Holds the decision for the last set of backends, and knows earlier ones for as long as they are in use elsewhere: in
/// force, or on their way. A set that needs the plan of one of these gets that same decision, so neither a change of
/// backends that take no connections nor a change that is undone leads to a push.
#[derive(Debug, Default)]
pub struct RoundRobin {
    last: Option<Arc<Decision>>,
    earlier: Vec<Weak<Decision>>,
}

impl RoundRobin {
    /// Creates a round robin that knows no backends yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates the round robin of a pool that replaces another one, for which `before` was decided. As long as the plan
    /// stays the same, so does the decision.
    pub fn from_decision(before: &Arc<Decision>) -> Self {
        let earlier = if before.method == Method::RoundRobin { vec![Arc::downgrade(before)] } else { Vec::new() };
        Self { last: None, earlier }
    }

    /// Returns the decision for the last set of backends; `None` before the first one.
    pub fn decision(&self) -> Option<&Arc<Decision>> {
        self.last.as_ref()
    }

    /// Returns the decision for a complete set of backends: one that is known, if it has the same plan.
    pub fn decide(&mut self, set: &BackendSet) -> Arc<Decision> {
        let plan = Plan::round_robin(set);
        let mut known = self.last.iter().cloned().chain(self.earlier.iter().filter_map(Weak::upgrade));
        let decision = known.find(|decision| decision.plan == plan).unwrap_or_else(|| {
            let number = self.last.as_ref().map_or(1, |last| last.number + 1);
            Arc::new(Decision::round_robin(number, plan))
        });
        let last = self.last.replace(Arc::clone(&decision));
        self.earlier.extend(last.as_ref().map(Arc::downgrade));
        drop(last);
        let is_earlier = |known: &Weak<Decision>| known.strong_count() > 0 && known.as_ptr() != Arc::as_ptr(&decision);
        self.earlier.retain(is_earlier);
        self.earlier.dedup_by(|a, b| Weak::ptr_eq(a, b));
        decision
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
        let mut round_robin = RoundRobin::from_decision(&before);
        assert!(Arc::ptr_eq(&before, &round_robin.decide(&set(&[State::Ready]))));
    }

    #[test]
    fn a_change_that_is_undone_brings_back_the_decision_that_is_in_use() {
        let (one, two) = (set(&[State::Ready]), set(&[State::Ready, State::Ready]));
        let mut round_robin = RoundRobin::new();
        let in_use = round_robin.decide(&one);
        let undone = Arc::downgrade(&round_robin.decide(&two));
        assert!(Arc::ptr_eq(&in_use, &round_robin.decide(&one)));
        assert!(undone.upgrade().is_none(), "a decision that nothing uses is forgotten");
        assert!(!Arc::ptr_eq(&in_use, &round_robin.decide(&two)));
    }
}
