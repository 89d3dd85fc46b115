use std::net::SocketAddr;

use ilb_discovery::{BackendSet, State};

/// The weights of all backends of a pool: what a push programs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    entries: Vec<Entry>,
}

/// One entry of a plan. A backend may have several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The backend.
    pub address: SocketAddr,
    /// Its weight: connections per round relative to the other entries.
    pub weight: u32,
}

impl Plan {
    /// Each ready backend in turn, in proportion to its capacity.
    pub fn round_robin(set: &BackendSet) -> Self {
        let ready = set.iter().filter(|b| b.state() == State::Ready);
        let entry = |b: &ilb_discovery::Backend| Entry { address: b.address(), weight: b.capacity().get().into() };
        Self { entries: ready.map(entry).collect() }
    }

    /// The entries, by address.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use ilb_discovery::{Backend, Capacity};

    use super::*;

    #[test]
    fn only_ready_backends_get_connections_each_by_its_capacity() {
        let backend = |last, state| Backend::new(([10, 0, 0, last], 1).into(), state);
        let set = [
            backend(1, State::Ready).with_capacity(Capacity::new(3).unwrap()),
            backend(2, State::Draining),
            backend(3, State::NotReady),
            backend(4, State::Ready),
        ];
        let plan = Plan::round_robin(&set.into_iter().collect());
        let weights: Vec<_> = plan.entries().iter().map(|e| (e.address.to_string(), e.weight)).collect();
        assert_eq!(weights, [("10.0.0.1:1".to_owned(), 3), ("10.0.0.4:1".to_owned(), 1)]);
    }
}
