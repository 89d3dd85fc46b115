use std::{collections::BTreeMap, fmt, net::SocketAddr};

use crate::{Backend, State};

/// A *complete* set of backends at one moment, never a delta.
///
/// Backends are keyed by address and kept in the order of their addresses, so that equal sets lead to equal
/// configurations, byte by byte. Sets are shared as `Arc<BackendSet>`: handing one to a consumer copies nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct BackendSet {
    backends: BTreeMap<SocketAddr, Backend>,
}

impl BackendSet {
    /// The set without backends. It is a state, not an error.
    pub fn empty() -> Self {
        Self::default()
    }

    /// The number of backends, whatever their state.
    pub fn len(&self) -> usize {
        self.backends.len()
    }

    /// Whether there is no backend at all.
    pub fn is_empty(&self) -> bool {
        self.backends.is_empty()
    }

    /// The backend at `address`.
    pub fn get(&self, address: &SocketAddr) -> Option<&Backend> {
        self.backends.get(address)
    }

    /// All backends, by address.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Backend> + Clone {
        self.backends.values()
    }

    /// The number of backends in `state`.
    pub fn count(&self, state: State) -> usize {
        self.iter().filter(|b| b.state() == state).count()
    }

    /// The backends that may take new connections: those that are [`State::Ready`].
    #[must_use]
    pub fn ready(&self) -> Self {
        self.iter().filter(|b| b.state() == State::Ready).cloned().collect()
    }
}

/// Of two backends with one address the later one stays.
impl FromIterator<Backend> for BackendSet {
    fn from_iter<I: IntoIterator<Item = Backend>>(backends: I) -> Self {
        Self { backends: backends.into_iter().map(|b| (b.address(), b)).collect() }
    }
}

impl fmt::Debug for BackendSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|b| (b.address(), b.state()))).finish()
    }
}
