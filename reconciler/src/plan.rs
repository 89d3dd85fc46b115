//! Plans: the weights of all backends of a pool.

use std::net::SocketAddr;

use ilb_discovery::{BackendSet, Capacity, State};

use crate::gcd::gcd;

/// Weights of all backends of a pool: the content of a push.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    entries: Vec<Entry>,
}

/// An entry of a plan. A backend has one per share of its capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Address of the backend.
    pub address: SocketAddr,
    /// Connections per round relative to the other entries.
    pub weight: u32,
}

impl Plan {
    /// Creates a plan that takes each ready backend in turn, in proportion to its capacity.
    ///
    /// A capacity of 3 is three entries, not one of weight 3: Traefik serves a heavy entry several times in a row,
    /// while it mixes the entries of a list.
    pub fn round_robin(set: &BackendSet) -> Self {
        let ready: Vec<_> = set.iter().filter(|b| b.state() == State::Ready).collect();
        let weights = equal_shares(ready.iter().map(|b| b.capacity()));
        ready.iter().zip(weights).flat_map(|(b, weights)| weights.into_iter().map(|w| (b.address(), w))).collect()
    }

    /// Returns the entries by address.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

/// Returns for each capacity as many weights of 1 as it has shares, in lowest terms.
pub(crate) fn equal_shares(capacities: impl Iterator<Item = Capacity> + Clone) -> Vec<Vec<u32>> {
    let share = gcd(capacities.clone().map(|c| c.get().into())).max(1);
    capacities.map(|c| (0..u64::from(c.get()) / share).map(|_| 1).collect()).collect()
}

/// Collects addresses and their weights in the given order, in which entries of the same address must be adjacent.
impl FromIterator<(SocketAddr, u32)> for Plan {
    fn from_iter<I: IntoIterator<Item = (SocketAddr, u32)>>(entries: I) -> Self {
        Self { entries: entries.into_iter().map(|(address, weight)| Entry { address, weight }).collect() }
    }
}

#[cfg(test)]
mod tests {
    use ilb_discovery::Backend;

    use super::*;

    fn weights(capacities: &[(State, u8)]) -> Vec<(String, u32)> {
        let backend = |(last, (state, shares)): (u8, &(State, u8))| {
            Backend::new(([10, 0, 0, last], 1).into(), *state).with_capacity(Capacity::try_from(*shares).unwrap())
        };
        let plan = Plan::round_robin(&(1..).zip(capacities).map(backend).collect());
        plan.entries().iter().map(|e| (e.address.ip().to_string(), e.weight)).collect()
    }

    #[test]
    fn only_ready_backends_get_connections_each_by_its_capacity() {
        let plan = weights(&[(State::Ready, 3), (State::Draining, 1), (State::NotReady, 1), (State::Ready, 1)]);
        let entry = |ip: &str| (ip.to_owned(), 1);
        assert_eq!(plan, [entry("10.0.0.1"), entry("10.0.0.1"), entry("10.0.0.1"), entry("10.0.0.4")]);
    }

    #[test]
    fn capacities_are_reduced_to_lowest_terms() {
        assert_eq!(weights(&[(State::Ready, 16), (State::Ready, 16)]).len(), 2);
        assert_eq!(weights(&[(State::Ready, 4), (State::Ready, 6)]).len(), 5);
    }
}
