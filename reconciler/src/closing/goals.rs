//! The number of connections that each backend should have.

use std::{cmp::Ordering, net::SocketAddr};

/// The backends that share the connections of a pool, and what each should have of them.
///
/// The goal of a backend is its share by capacity of all connections, including those that are away. Goals are fractions:
/// all comparisons are of whole multiples of them, so they are exact.
#[derive(Clone, Debug)]
pub(crate) struct Goals {
    pub(crate) members: Vec<Member>,
    /// Connections, and those that are away.
    total: u64,
    /// Sum of all capacities.
    capacity: u64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Member {
    pub(crate) backend: SocketAddr,
    pub(crate) connections: u64,
    pub(crate) capacity: u64,
}

impl Goals {
    pub(crate) fn new(members: Vec<Member>, away: u64) -> Self {
        let total = members.iter().map(|member| member.connections).sum::<u64>() + away;
        let capacity = members.iter().map(|member| member.capacity).sum();
        Self { members, total, capacity }
    }

    /// Returns `true` if one backend has this many percent and connections too much, and another one as many percent too
    /// little.
    pub(crate) fn are_missed(&self, percent: u32, least: u32) -> bool {
        let (percent, least) = (u64::from(percent), u64::from(least));
        let is_above = |member: &Member| {
            self.scaled(member) * 100 > self.goal(member) * (100 + percent)
                && self.scaled(member) > self.goal(member) + least * self.capacity
        };
        let is_below =
            |member: &Member| self.scaled(member) * 100 < self.goal(member) * (100_u64.saturating_sub(percent));
        self.members.iter().any(is_above) && self.members.iter().any(is_below)
    }

    /// Returns `true` if no backend has more than its goal and this many percent of it, or one connection.
    pub(crate) fn are_met(&self, percent: u32) -> bool {
        self.members.iter().all(|member| {
            self.scaled(member) * 100 <= self.goal(member) * (100 + u64::from(percent))
                || self.scaled(member) <= self.goal(member) + self.capacity
        })
    }

    /// Returns how many connections the backends below their goals have room for.
    pub(crate) fn room(&self) -> u64 {
        let room = self.members.iter().map(|member| self.goal(member).saturating_sub(self.scaled(member))).sum::<u64>();
        room.checked_div(self.capacity).unwrap_or(0)
    }

    /// Returns how many connections can be taken from backends that stay at or above their goals.
    pub(crate) fn surplus(&self) -> u64 {
        self.members.iter().map(|member| self.surplus_of(member)).sum()
    }

    /// Returns how many connections can be taken from a backend that stays at or above its goal.
    pub(crate) fn surplus_of(&self, member: &Member) -> u64 {
        self.scaled(member).saturating_sub(self.goal(member)) / self.capacity
    }

    /// Returns `true` if a client that comes back soon would get to a backend below its goal. `next` are the backends that the
    /// next connections go to, as many as are expected in [the horizon](crate::LeastConnections::next_backends) of some 30 ms.
    ///
    /// Those of the first third may come before the client. The others matter as far as there is room for them: where there is
    /// more, the head start of the plan in force is not used up yet.
    pub(crate) fn are_approached_by(&self, next: &[SocketAddr]) -> bool {
        let mut members = self.members.clone();
        let room = usize::try_from(self.room()).unwrap_or(usize::MAX);
        let matter = room.min(next.len()).max(next.len().div_ceil(3));
        next.iter().take(matter).all(|backend| {
            let Some(member) = members.iter_mut().find(|member| member.backend == *backend) else { return false };
            let is_below = self.scaled(member) < self.goal(member);
            member.connections += 1;
            is_below
        })
    }

    /// Returns the indexes of the backends that stay at or above their goals with one connection less, the fullest first.
    pub(crate) fn that_may_lose_one(&self) -> Vec<usize> {
        let may_lose = |index: &usize| {
            let member = &self.members[*index];
            self.scaled(member) >= self.goal(member) + self.capacity
        };
        let mut indexes: Vec<usize> = (0..self.members.len()).filter(may_lose).collect();
        indexes.sort_by(|a, b| self.fuller_first(*a, *b));
        indexes
    }

    /// Returns the mean connections of a backend, rounded up.
    pub(crate) fn mean(&self) -> u64 {
        self.total.div_ceil(self.members.len().try_into().unwrap_or(u64::MAX).max(1))
    }

    fn fuller_first(&self, a: usize, b: usize) -> Ordering {
        let (a, b) = (&self.members[a], &self.members[b]);
        (b.connections * a.capacity).cmp(&(a.connections * b.capacity)).then(a.backend.cmp(&b.backend))
    }

    /// Returns the goal of a backend times the sum of all capacities.
    fn goal(&self, member: &Member) -> u64 {
        self.total * member.capacity
    }

    /// Returns the connections of a backend times the sum of all capacities.
    fn scaled(&self, member: &Member) -> u64 {
        member.connections * self.capacity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn goals(connections: &[(u64, u64)], away: u64) -> Goals {
        let member = |(index, (connections, capacity)): (usize, &(u64, u64))| Member {
            backend: ([10, 0, 0, u8::try_from(index).unwrap()], 80).into(),
            connections: *connections,
            capacity: *capacity,
        };
        Goals::new(connections.iter().enumerate().map(member).collect(), away)
    }

    #[test]
    fn a_scale_out_misses_the_goals() {
        let four_to_eight = goals(&[(100, 1), (100, 1), (100, 1), (100, 1), (0, 1), (0, 1), (0, 1), (0, 1)], 0);
        assert!(four_to_eight.are_missed(20, 5) && !four_to_eight.are_met(5));
        assert_eq!((four_to_eight.room(), four_to_eight.surplus(), four_to_eight.mean()), (200, 200, 50));
    }

    #[test]
    fn goals_are_by_capacity() {
        let level = goals(&[(300, 3), (100, 1)], 0);
        assert!(level.are_met(0) && !level.are_missed(0, 0));
        assert_eq!((level.room(), level.surplus()), (0, 0));
        assert_eq!(goals(&[(100, 3), (100, 1)], 0).that_may_lose_one(), [1]);
    }

    #[test]
    fn those_that_are_away_raise_the_goals() {
        assert_eq!(goals(&[(60, 1), (0, 1)], 40).surplus(), 10);
        assert_eq!(goals(&[(60, 1), (0, 1)], 40).room(), 50);
    }

    #[test]
    fn fractions_are_neither_room_nor_surplus() {
        let thirds = goals(&[(4, 1), (3, 1), (3, 1)], 0);
        assert_eq!((thirds.room(), thirds.surplus()), (0, 0));
        assert!(thirds.are_met(0), "one more than the goal is level");
        assert!(thirds.that_may_lose_one().is_empty());
    }

    #[test]
    fn the_fullest_comes_first() {
        assert_eq!(goals(&[(20, 1), (30, 1), (30, 1), (0, 1)], 0).that_may_lose_one(), [1, 2]);
        assert_eq!(goals(&[(60, 4), (30, 1), (0, 4)], 0).that_may_lose_one(), [1, 0]);
    }

    #[test]
    fn the_next_connections_should_go_where_there_is_room() {
        let approached = |connections: &[(u64, u64)], next: &[u8]| {
            let next: Vec<SocketAddr> = next.iter().map(|last| ([10, 0, 0, *last], 80).into()).collect();
            goals(connections, 0).are_approached_by(&next)
        };
        let much = [(20, 1), (6, 1), (4, 1)];
        assert!(approached(&much, &[2, 1, 2, 1]) && approached(&much, &[]));
        assert!(!approached(&much, &[2, 1, 0, 2]), "the head start is nearly used up");
        assert!(!approached(&much, &[2, 1, 1, 1, 1, 1]), "that backend has room for four");
        assert!(!approached(&much, &[9]), "an unknown backend");
        let little = [(11, 1), (10, 1), (9, 1)];
        assert!(approached(&little, &[2, 0, 1]), "only one is needed, and it may well be the first");
        assert!(!approached(&little, &[2, 0, 1, 2]), "two may come before it");
    }

    #[test]
    fn without_backends_there_is_nothing_to_do() {
        let nobody = goals(&[], 5);
        assert!(!nobody.are_missed(20, 5) && nobody.are_met(5));
        assert_eq!((nobody.room(), nobody.surplus(), nobody.mean()), (0, 0, 5));
    }
}
