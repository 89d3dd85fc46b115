//! The reports of this replica, as its siblings get them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    sync::Arc,
    time::Instant,
};

use ilb_reconciler::siblings::{ReplicaId, Report};

/// Reports of all pools of this replica. A clone costs next to nothing, so readers take one and write the text elsewhere.
#[derive(Clone)]
pub struct OwnReports {
    replica: ReplicaId,
    sample: u64,
    counted_at: Instant,
    pools: Arc<Pools>,
}

/// The last samples of the pools, by name.
type Pools = BTreeMap<String, Arc<OwnPool>>;

/// Last sample of one pool.
#[derive(Debug)]
pub(crate) struct OwnPool {
    pub(crate) sample: u64,
    pub(crate) counted_at: Instant,
    pub(crate) opened: u64,
    pub(crate) connections: BTreeMap<SocketAddr, u32>,
}

impl OwnReports {
    /// Creates the reports of a replica that has counted nothing yet.
    pub fn new(replica: ReplicaId, now: Instant) -> Self {
        Self { replica, sample: 0, counted_at: now, pools: Arc::default() }
    }

    /// Takes in the report of one pool at `now`; `None` if the replica takes no part in it. Returns `true` if that is news.
    pub fn set(&mut self, pool: &str, report: Option<Report>, now: Instant) -> bool {
        let known = self.pools.get(pool);
        let is_news = match &report {
            Some(report) => known.is_none_or(|known| known.sample != report.sample),
            None => known.is_some(),
        };
        if !is_news {
            return false;
        }
        self.sample += 1;
        self.counted_at = now;
        let pools = Arc::make_mut(&mut self.pools);
        match report {
            Some(Report { sample, age, opened, connections, .. }) => {
                let counted_at = now.checked_sub(age).unwrap_or(now);
                pools.insert(pool.to_owned(), Arc::new(OwnPool { sample, counted_at, opened, connections }));
            }
            None => {
                pools.remove(pool);
            }
        }
        true
    }

    /// Removes the pools that are not among these. Returns `true` if there were any.
    pub fn retain(&mut self, names: &BTreeSet<&str>, now: Instant) -> bool {
        let gone: Vec<String> = self.pools.keys().filter(|name| !names.contains(name.as_str())).cloned().collect();
        gone.iter().filter(|name| self.set(name, None, now)).count() > 0
    }

    /// Returns the identity of the replica.
    pub fn replica(&self) -> ReplicaId {
        self.replica
    }

    /// Returns the number of changes so far.
    pub fn sample(&self) -> u64 {
        self.sample
    }

    pub(crate) fn counted_at(&self) -> Instant {
        self.counted_at
    }

    pub(crate) fn pools(&self) -> impl Iterator<Item = (&str, &OwnPool)> {
        self.pools.iter().map(|(name, pool)| (name.as_str(), &**pool))
    }
}

impl fmt::Debug for OwnReports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pools: Vec<_> = self.pools.keys().collect();
        f.debug_struct("OwnReports")
            .field("replica", &self.replica)
            .field("sample", &self.sample)
            .field("pools", &pools)
            .finish_non_exhaustive()
    }
}
