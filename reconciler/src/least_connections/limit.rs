//! Least connections: a limit of the connections of each backend, through all replicas together.

use ilb_discovery::Backend;

use super::{Counting, LeastConnections};
use crate::{
    decision::Restriction,
    limit::{Limit, LimitState, Overflow},
    tracked::Tracked,
};

impl LeastConnections {
    /// Limits the connections of each backend.
    ///
    /// A backend at its limit gets no new connections as long as at least half of the others are below theirs. While all places
    /// are taken, `limit` says what happens to new connections. Each replica fills only its part of the free places, by its
    /// share of the arrivals, so that all together fill them once.
    #[must_use]
    pub fn with_limit(mut self, limit: Limit) -> Self {
        self.set_limit(limit);
        self
    }

    /// Limits the connections of each backend, as [`with_limit`](Self::with_limit) does.
    pub fn set_limit(&mut self, limit: Limit) {
        self.limit = limit;
    }

    /// Returns the state of the limit by the counts of this moment; `None` if there is none for one of the backends.
    pub fn limit(&self) -> Option<LimitState> {
        self.limit_state(&self.ready())
    }

    /// Returns the limit of a backend; `None` if it has none.
    fn limit_of(&self, backend: &Backend) -> Option<u64> {
        backend.max_connections().or(self.limit.max_connections).map(u64::from)
    }

    /// Returns the state of the limit for the backends that are not left out otherwise; `None` if one of them has no limit, so
    /// that the pool is never full.
    pub(super) fn limit_state(&self, ready: &[(&Tracked, Option<Restriction>)]) -> Option<LimitState> {
        let taking = taking(ready);
        let limits: Option<u64> = taking.iter().map(|t| self.limit_of(&t.backend)).sum();
        let max_connections = limits.filter(|_| self.counting == Counting::Working && !taking.is_empty())?;
        let own: Vec<_> = taking.iter().map(|t| (t.backend.address(), t.connections())).collect();
        let alone = || own.iter().map(|(_, connections)| u64::from(*connections)).sum::<u64>();
        let (connections, is_full) = match &self.siblings {
            Some(siblings) => siblings.fill(&own, max_connections),
            None => (alone(), alone() >= max_connections),
        };
        Some(LimitState { max_connections, connections, is_full, overflow: self.limit.overflow })
    }

    /// Marks the ready backends that get no new connections because of their limit.
    pub(super) fn apply_limit(&self, ready: &mut [(&Tracked, Option<Restriction>)]) {
        let taking = taking(ready);
        if self.counting != Counting::Working || taking.iter().all(|t| self.limit_of(&t.backend).is_none()) {
            return;
        }
        let is_full = self.limit_state(ready).is_some_and(|state| state.is_full);
        let addresses: Vec<_> = taking.iter().map(|t| t.backend.address()).collect();
        let theirs = self.siblings.as_ref().map(|siblings| siblings.connections_of_all(&addresses));
        let theirs = theirs.unwrap_or_else(|| vec![0; taking.len()]);
        let at_limit: Vec<bool> = taking
            .iter()
            .zip(theirs)
            .map(|(t, theirs)| {
                self.limit_of(&t.backend).is_some_and(|limit| u64::from(t.connections()) + theirs >= limit)
            })
            .collect();
        // With fewer, a burst would be led to the last ones that are below theirs.
        let leaves_half_open = at_limit.iter().filter(|at_limit| **at_limit).count() * 2 <= at_limit.len();
        let mut at_limit = at_limit.into_iter();
        for (_, restriction) in ready.iter_mut().filter(|(_, restriction)| *restriction != Some(Restriction::LeftOut)) {
            let is_at_limit = at_limit.next().unwrap_or(false);
            let is_closed = match self.limit.overflow {
                Overflow::Refuse => is_full || (is_at_limit && leaves_half_open),
                Overflow::Spread => !is_full && is_at_limit && leaves_half_open,
            };
            if is_closed {
                *restriction = Some(Restriction::Full);
            }
        }
    }
}

/// Returns the backends that are not left out because of what becomes of their connections.
fn taking<'a>(ready: &[(&'a Tracked, Option<Restriction>)]) -> Vec<&'a Tracked> {
    let admitted = ready.iter().filter(|(_, restriction)| *restriction != Some(Restriction::LeftOut));
    admitted.map(|(tracked, _)| *tracked).collect()
}

#[cfg(test)]
mod tests;
