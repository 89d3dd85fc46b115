//! A complete set of backends.

use std::{fmt, net::SocketAddr};

use crate::{Backend, State};

/// *Complete* set of backends at one moment, never a delta.
///
/// Backends are keyed by address and kept in the order of their addresses, so that equal sets lead to equal
/// configurations, byte by byte. Sets are shared as `Arc<BackendSet>`, so consumers copy nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BackendSet {
    /// Strictly ascending by address. A set is built once and read often, so one allocation serves best.
    backends: Box<[Backend]>,
}

impl BackendSet {
    /// Creates a set without backends. An empty set is a state, not an error.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Returns the number of backends in any state.
    pub fn len(&self) -> usize {
        self.backends.len()
    }

    /// Returns whether there is no backend in any state.
    pub fn is_empty(&self) -> bool {
        self.backends.is_empty()
    }

    /// Returns the backend at `address`.
    pub fn get(&self, address: &SocketAddr) -> Option<&Backend> {
        self.backends.binary_search_by_key(address, Backend::address).ok().map(|at| &self.backends[at])
    }

    /// Iterates over all backends in the order of their addresses.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Backend> + Clone {
        self.backends.iter()
    }

    /// Returns the number of backends in `state`.
    pub fn count(&self, state: State) -> usize {
        self.iter().filter(|b| b.state() == state).count()
    }

    /// Iterates over the backends that are [`State::Ready`], in the order of their addresses.
    pub fn iter_ready(&self) -> impl Iterator<Item = &Backend> + Clone {
        self.iter().filter(|b| b.state() == State::Ready)
    }

    /// Returns the set of backends that are [`State::Ready`] and so may take new connections.
    #[must_use]
    pub fn ready(&self) -> Self {
        self.iter_ready().cloned().collect()
    }
}

/// Keeps the later one of two backends with the same address.
impl FromIterator<Backend> for BackendSet {
    fn from_iter<I: IntoIterator<Item = Backend>>(backends: I) -> Self {
        let mut backends: Vec<_> = backends.into_iter().collect();
        // Mostly they come from another set, or sorted.
        if !backends.is_sorted_by(|a, b| a.address() < b.address()) {
            backends.reverse();
            backends.sort_by_key(Backend::address); // stable: of equal addresses the later one comes first now
            backends.dedup_by_key(|b| b.address());
        }
        Self { backends: backends.into_boxed_slice() }
    }
}

impl fmt::Debug for BackendSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|b| (b.address(), b.state()))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(last: u8, state: State) -> Backend {
        Backend::new(([10, 0, 0, last], 1).into(), state)
    }

    #[test]
    fn a_set_is_ordered_by_address_and_of_two_with_one_address_the_later_stays() {
        let set: BackendSet =
            [backend(2, State::Ready), backend(1, State::Ready), backend(2, State::Draining)].into_iter().collect();
        let states: Vec<_> = set.iter().map(|b| (b.address().ip().to_string(), b.state())).collect();
        assert_eq!(states, [("10.0.0.1".to_owned(), State::Ready), ("10.0.0.2".to_owned(), State::Draining)]);
        assert_eq!(set.get(&([10, 0, 0, 2], 1).into()).unwrap().state(), State::Draining);
        assert_eq!(set.get(&([10, 0, 0, 3], 1).into()), None);
        assert_eq!(set.ready().len(), 1);
    }
}
