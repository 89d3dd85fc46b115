//! Moves the surplus of the fullest backends to the others.

use std::time::{Duration, Instant};

use crate::closing::{
    Closing, ClosingState, Conditions, Connection, Deciding, Hold, How, Rebalance, Why, goals::Goals,
};

impl Closing {
    pub(crate) fn wants_rebalance(&self, now: Instant) -> bool {
        let begins = || self.rebalance_begins().is_some_and(|begin| begin <= now);
        self.policy.rebalance.is_some() && (self.rebalancing.is_running || begins())
    }

    pub(crate) fn next_rebalance(&self, _: Instant) -> Option<Instant> {
        let running = self.rebalancing.is_running.then(|| self.knowledge.set_changed());
        self.policy.rebalance.and_then(|_| running.or_else(|| self.rebalance_begins()))
    }

    /// Returns the moment at which a run begins if nothing changes.
    fn rebalance_begins(&self) -> Option<Instant> {
        self.rebalancing.missed_since.and_then(|_| self.missed_since().checked_add(self.policy.settle.0))
    }

    /// Returns the moment since which the goals are missed with these backends.
    fn missed_since(&self) -> Instant {
        let set_changed = self.knowledge.set_changed();
        self.rebalancing.missed_since.map_or(set_changed, |since| since.max(set_changed))
    }

    /// Closes connections of the fullest backends, as many as are due and as the others have room for.
    pub(crate) fn close_for_rebalance(&mut self, deciding: &mut Deciding<'_>) -> (ClosingState, Option<Instant>) {
        let (Some(policy), now) = (self.policy.rebalance, deciding.now) else { return (ClosingState::Idle, None) };
        self.rebalancing.is_running = true;
        loop {
            let goals = self.goals();
            let left = goals.surplus().min(goals.room().saturating_sub(self.ledger.expected()));
            let state = ClosingState::Closing { why: Why::Rebalance, left: self.together.own_portion(&goals, left) };
            if goals.are_met(policy.stop_at_percent) {
                // Those in flight may still turn out not to be closed.
                return (state, None);
            }
            if left == 0 || self.ledger.trust_left() == 0 {
                return (ClosingState::Waiting(Hold::ClientsAway), self.ledger.next_limit());
            }
            let most = left.min(self.ledger.trust_left());
            if let Err(next) = self.together.wait_for_step(&goals, most, self.missed_since(), now) {
                return (state, next);
            }
            let per_second = per_second(&policy, goals.mean());
            if !self.ledger.pace.is_due(per_second, now) {
                return (state, Some(self.ledger.pace.next(per_second, now)));
            }
            let are_there = goals.are_approached_by(self.knowledge.next_backends());
            if let Some(until) = self.rebalancing.wait_for_places(are_there, now) {
                return (ClosingState::Waiting(Hold::Crowded), Some(until));
            }
            let budget = goals.mean().saturating_mul(self.policy.budget.0.into()).div_ceil(100);
            let budget = self.together.own_part_of(budget, &goals);
            let (one, has_budget) = self.surplus_connection(&policy, &goals, budget, now);
            let Some(one) = one else {
                if has_budget {
                    self.ledger.search.found_none(now);
                }
                let hold = if has_budget { Hold::NoCandidate } else { Hold::Budget };
                return (ClosingState::Waiting(hold), if has_budget { None } else { self.ledger.next_budget() });
            };
            self.order(deciding, &one, Why::Rebalance, How::Finish, Conditions::answered_and_quiet_for(policy.quiet));
            let interval = self.together.took(one.backend, Duration::from_secs(1) / per_second);
            self.ledger.pace.took(interval, now);
        }
    }

    /// Returns a connection of the fullest backend that has one to spare, by lot, and whether any such backend has budget
    /// left.
    fn surplus_connection(
        &self,
        policy: &Rebalance,
        goals: &Goals,
        budget: u64,
        now: Instant,
    ) -> (Option<Connection>, bool) {
        let conditions = Conditions::answered_and_quiet_for(policy.quiet);
        let is_candidate = |one: &&Connection| {
            one.meets(&conditions) && now.saturating_duration_since(one.first_seen) >= policy.min_age
        };
        let (mut has_budget, exhausted) = (false, self.ledger.exhausted(budget));
        for index in goals.that_may_lose_one() {
            let backend = goals.members[index].backend;
            if !self.together.may_close_of(backend) {
                continue;
            }
            if exhausted.contains(&backend) {
                continue;
            }
            has_budget = true;
            // They are in a random order, and thousands.
            if let Some(one) = self.connections_of(backend, now).find(is_candidate) {
                return (Some(*one), true);
            }
        }
        (None, has_budget)
    }
}

/// Returns the number of closings a second, by the mean connections of a backend.
pub(crate) fn per_second(policy: &Rebalance, mean: u64) -> u32 {
    let by_mean = mean.saturating_mul(policy.rate_permille.into()).div_ceil(1_000);
    u32::try_from(by_mean).unwrap_or(u32::MAX).min(policy.max_rate).max(1)
}
