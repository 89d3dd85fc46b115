//! The closings of the last hour, for the budget.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

/// Knows the closings of the last hour that the budget has to cover. Orders count until they turn out to close nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Spending {
    /// Closings, oldest first.
    closings: VecDeque<Spent>,
    /// Number of closings of each backend that has any.
    by_backend: BTreeMap<SocketAddr, u64>,
    /// Set if some may only be said to be closed.
    has_pretended: bool,
}

#[derive(Clone, Copy, Debug)]
struct Spent {
    id: u64,
    at: Instant,
    backend: SocketAddr,
    is_pretended: bool,
}

const HOUR: Duration = Duration::from_secs(3600);

impl Spending {
    /// Takes in an order.
    pub(crate) fn add(&mut self, id: u64, backend: SocketAddr, is_pretended: bool, now: Instant) {
        self.closings.push_back(Spent { id, at: now, backend, is_pretended });
        *self.by_backend.entry(backend).or_default() += 1;
        self.has_pretended |= is_pretended;
    }

    /// Takes in that an order has closed nothing.
    pub(crate) fn remove(&mut self, id: u64) {
        let index = self.closings.iter().rposition(|spent| spent.id == id);
        if let Some(spent) = index.and_then(|index| self.closings.remove(index)) {
            self.give_back(spent.backend);
        }
    }

    /// Forgets what was only said to be closed.
    pub(crate) fn forget_pretended(&mut self) {
        if !self.has_pretended {
            return;
        }
        self.has_pretended = false;
        self.closings.retain(|spent| !spent.is_pretended);
        self.by_backend.clear();
        for spent in &self.closings {
            *self.by_backend.entry(spent.backend).or_default() += 1;
        }
    }

    /// Forgets what was closed an hour ago.
    pub(crate) fn forget_old(&mut self, now: Instant) {
        while let Some(spent) = self.closings.front().copied()
            && now.saturating_duration_since(spent.at) >= HOUR
        {
            self.closings.pop_front();
            self.give_back(spent.backend);
        }
    }

    /// Returns the backends that have lost this many connections.
    pub(crate) fn exhausted(&self, budget: u64) -> BTreeSet<SocketAddr> {
        self.by_backend.iter().filter(|(_, spent)| **spent >= budget).map(|(backend, _)| *backend).collect()
    }

    /// Returns the moment at which the oldest closing does not count any more.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.closings.front().and_then(|spent| spent.at.checked_add(HOUR))
    }

    fn give_back(&mut self, backend: SocketAddr) {
        if let Some(spent) = self.by_backend.get_mut(&backend) {
            *spent -= 1;
            if *spent == 0 {
                self.by_backend.remove(&backend);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closings_count_for_an_hour_unless_they_close_nothing_or_are_only_shown() {
        let (mut spending, now) = (Spending::default(), Instant::now());
        let [a, b, c] = [1, 2, 3].map(|last| SocketAddr::from(([10, 0, 0, last], 80)));
        for (id, backend, is_pretended) in [(1, a, false), (2, a, false), (3, b, false), (4, b, false), (5, c, true)] {
            spending.add(id, backend, is_pretended, now + Duration::from_secs(id));
        }
        assert_eq!((spending.exhausted(2), spending.exhausted(1)), ([a, b].into(), [a, b, c].into()));
        spending.remove(4);
        spending.forget_pretended();
        assert_eq!((spending.exhausted(2), spending.exhausted(1)), ([a].into(), [a, b].into()));
        let next = now + Duration::from_secs(1) + HOUR;
        assert_eq!(spending.next(), Some(next));
        spending.forget_old(next);
        assert_eq!((spending.exhausted(2), spending.exhausted(1)), ([].into(), [a, b].into()));
        spending.forget_old(next + HOUR);
        assert_eq!((spending.exhausted(1), spending.next()), ([].into(), None));
    }
}
