//! A look at all backends of a pool, from which the status counts, compares and chooses.

use ilb_connections::Load;
use ilb_discovery::Backend;

use super::{
    PoolFacts,
    imbalance::{Imbalance, compared},
    status::StateCounts,
    words::BackendState,
};

/// All backends of a pool, by address, with what is needed to count and compare them. No text is made for backends that
/// are not shown.
pub(crate) struct Survey<'a>(Vec<Surveyed<'a>>);

/// A backend with its state and load.
#[derive(Clone, Copy)]
pub(crate) struct Surveyed<'a> {
    pub(super) backend: &'a Backend,
    pub(super) state: BackendState,
    /// Load in the last sample; `None` where connections are not counted.
    pub(super) load: Option<Load>,
    /// Connections through all replicas; `None` where no other one is heard.
    pub(super) total: Option<u64>,
}

impl PoolFacts {
    /// Looks at all backends once.
    pub(crate) fn survey(&self) -> Survey<'_> {
        let backends = self.backends.iter().flat_map(|backends| backends.iter());
        let look = |backend| self.surveyed(backend);
        Survey(backends.map(look).collect())
    }

    fn surveyed<'a>(&self, backend: &'a Backend) -> Surveyed<'a> {
        let address = backend.address();
        let total = self.sharing.as_ref().and_then(|sharing| sharing.total(address));
        Surveyed { backend, state: self.state(backend), load: self.load.get(address), total }
    }

    /// Counts the backends in each state.
    pub(crate) fn count(&self) -> StateCounts {
        self.backends.iter().flat_map(|backends| backends.iter()).map(|backend| self.state(backend)).collect()
    }
}

impl<'a> Survey<'a> {
    /// Counts the backends in each state.
    pub(crate) fn count(&self) -> StateCounts {
        self.0.iter().map(|surveyed| surveyed.state).collect()
    }

    /// Returns the number of connections to all backends.
    pub(super) fn connections(&self) -> u64 {
        self.0.iter().filter_map(|surveyed| surveyed.load).map(|load| u64::from(load.connections())).sum()
    }

    /// Returns the imbalance of all replicas together that are heard; `None` where connections are not counted or there is
    /// nothing to compare. The connections of each replica are less even than those of all, on purpose.
    pub(super) fn imbalance(&self) -> Option<Imbalance> {
        let ready = self.0.iter().filter(|surveyed| surveyed.state == BackendState::Ready);
        let load = |s: &Surveyed<'_>| Some(compared(s.load, s.total)? / f64::from(s.backend.capacity().get()));
        Imbalance::from_loads(ready.filter_map(load))
    }

    /// Returns the first `limit` backends.
    pub(crate) fn first(&self, limit: usize) -> &[Surveyed<'a>] {
        self.0.get(..limit).unwrap_or(&self.0)
    }

    /// Returns the backends to show, at most `limit`, and the number of those that are left out.
    pub(super) fn shown(self, limit: usize) -> (Vec<Surveyed<'a>>, usize) {
        let Self(mut backends) = self;
        let omitted = backends.len().saturating_sub(limit);
        if omitted > 0 {
            backends.select_nth_unstable_by_key(limit, |surveyed| {
                let established = surveyed.load.map(|load| load.established);
                (surveyed.state.interest(established), surveyed.backend.address())
            });
            backends.truncate(limit);
            backends.sort_unstable_by_key(|surveyed| surveyed.backend.address());
        }
        (backends, omitted)
    }
}
