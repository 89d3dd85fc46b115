//! Shows what would be closed if nothing kept a pool from it.

use crate::closing::{Closing, rebalance::per_second};

/// The connections of a pool that its rules are about at one moment, whether or not anything keeps them from being closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outlook {
    /// Connections of all backends.
    pub connections: u64,
    /// Connections of this replica that a rebalance would move; zero if the backends are level enough.
    pub to_move: u64,
    /// Maximum number of closings a second of a rebalance.
    pub moves_per_second: u32,
    /// Connections of draining backends that would be closed in time.
    pub to_drain: u64,
}

impl Closing {
    /// Returns what the last sample shows. How old connections are is not known from one sample.
    pub fn outlook(&self) -> Outlook {
        let goals = self.goals();
        let connections = self.knowledge.counted_in_all();
        let rebalance = self.policy.rebalance.map(|policy| {
            let is_missed = goals.are_missed(policy.start_above_percent, policy.least);
            let to_move = if is_missed { self.together.own_portion(&goals, goals.room()) } else { 0 };
            (to_move, per_second(&policy, goals.mean()))
        });
        let (to_move, moves_per_second) = rebalance.unwrap_or_default();
        let draining = self.knowledge.draining().map(|(backend, _)| self.knowledge.counted(backend));
        let to_drain = if self.policy.drain.is_some() { draining.sum() } else { 0 };
        Outlook { connections, to_move, moves_per_second, to_drain }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use ilb_discovery::{Backend, State};

    use super::*;
    use crate::closing::{ClosingPolicy, Counted, Drain, Origin, Rebalance};

    #[test]
    fn the_outlook_is_what_the_rules_are_about() {
        let now = Instant::now();
        let address = |last: u8| ([10, 0, 0, last], 80).into();
        let states = [State::Ready, State::Ready, State::Draining];
        let set = (0..).zip(states).map(|(last, state)| Backend::new(address(last), state)).collect();
        let counts = [(0, 100), (1, 20), (2, 7)]
            .map(|(last, connections)| (address(last), Counted { connections, ..Counted::default() }));
        let outlook = |policy| {
            let mut closing = Closing::new(policy, now);
            closing.backends(&set, &Origin::Relisted, now);
            closing.sample(&counts.into(), None, now);
            closing.outlook()
        };
        let off = Outlook { connections: 127, ..Outlook::default() };
        assert_eq!(outlook(ClosingPolicy::default()), off);
        let rebalance = ClosingPolicy { rebalance: Some(Rebalance::default()), ..ClosingPolicy::default() };
        assert_eq!(outlook(rebalance), Outlook { to_move: 40, moves_per_second: 1, ..off });
        let drain = ClosingPolicy { drain: Some(Drain::default()), ..ClosingPolicy::default() };
        assert_eq!(outlook(drain), Outlook { to_drain: 7, ..off });
    }
}
