//! Closes connections that are too old.

use std::time::{Duration, Instant};

use crate::closing::{Age, Closing, ClosingState, Conditions, Connection, Deciding, Hold, How, Why, choice::permille};

/// Number that keeps the jitter of ages apart from other numbers that come from cookies.
const SALT: u64 = 0xa9e;

impl Closing {
    pub(crate) fn wants_age(&self, now: Instant) -> bool {
        self.policy.age.is_some_and(|policy| self.too_old(policy, now).next().is_some())
    }

    pub(crate) fn next_age(&self, now: Instant) -> Option<Instant> {
        let policy = self.policy.age?;
        self.of_ready_backends(now).filter_map(|one| due(one, &policy)).filter(|due| *due > now).min()
    }

    /// Closes the connections that are too old and answered, and after a grace also those that are not.
    pub(crate) fn close_for_age(&mut self, deciding: &mut Deciding<'_>) -> (ClosingState, Option<Instant>) {
        let (Some(policy), now) = (self.policy.age, deciding.now) else { return (ClosingState::Idle, None) };
        let gently = Conditions::answered_and_quiet_for(policy.quiet);
        let budget =
            self.knowledge.goals(&self.ledger).mean().saturating_mul(self.policy.budget.0.into()).div_ceil(100);
        loop {
            let left = self.too_old(policy, now).count().try_into().unwrap_or(u64::MAX);
            let state = ClosingState::Closing { why: Why::Age, left };
            if left == 0 {
                return (state, None);
            }
            if self.ledger.trust_left() == 0 {
                return (ClosingState::Waiting(Hold::ClientsAway), self.ledger.next_limit());
            }
            if !self.ledger.pace.is_due(policy.max_rate, now) {
                return (state, Some(self.ledger.pace.next(policy.max_rate, now)));
            }
            let exhausted = self.ledger.exhausted(budget);
            let in_budget = |one: &&Connection| !exhausted.contains(&one.backend);
            if self.too_old(policy, now).all(|one| !in_budget(&one)) {
                return (ClosingState::Waiting(Hold::Budget), self.ledger.next_budget());
            }
            let is_forced = |one: &Connection| {
                policy.grace.and_then(|grace| due(one, &policy)?.checked_add(grace)).is_some_and(|forced| forced <= now)
            };
            let candidates = self.too_old(policy, now).filter(in_budget);
            let found = candidates
                .filter(|one| one.meets(&gently) || is_forced(one))
                .min_by_key(|one| (due(one, &policy), one.cookie))
                .copied();
            let Some(one) = found else {
                self.ledger.search.found_none(now);
                return (ClosingState::Waiting(Hold::NoCandidate), None);
            };
            if one.meets(&gently) {
                self.order(deciding, &one, Why::Age, How::Finish, gently);
            } else {
                self.order(deciding, &one, Why::Age, How::Abort, Conditions::NONE);
            }
            self.ledger.pace.took(Duration::from_secs(1) / policy.max_rate.max(1), now);
        }
    }

    fn too_old(&self, policy: Age, now: Instant) -> impl Iterator<Item = &Connection> {
        self.of_ready_backends(now).filter(move |one| due(one, &policy).is_some_and(|due| due <= now))
    }

    fn of_ready_backends(&self, now: Instant) -> impl Iterator<Item = &Connection> {
        self.knowledge.ready().flat_map(move |backend| self.connections_of(backend, now))
    }
}

/// Returns the moment from which on a connection is too old.
fn due(one: &Connection, policy: &Age) -> Option<Instant> {
    let jitter = policy
        .max_age
        .mul_f64(f64::from(policy.jitter_percent) / 100.0 * f64::from(permille(one.cookie, SALT)) / 1_000.0);
    one.first_seen.checked_add(policy.max_age)?.checked_add(jitter)
}
