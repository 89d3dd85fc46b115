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
#[derive(Clone, Debug)]
pub(crate) struct OwnPool {
    pub(crate) sample: u64,
    pub(crate) counted_at: Instant,
    pub(crate) opened: u64,
    pub(crate) closed_on_purpose: u64,
    /// Backends that have connections, and some that have had some.
    backends: BTreeMap<SocketAddr, OwnBackend>,
    /// Number of the answer since which all changes are known.
    known_since: u64,
}

/// Connections of one backend.
#[derive(Clone, Copy, Debug)]
struct OwnBackend {
    connections: u32,
    /// Number of the answer from which on they are as many.
    changed_at: u64,
}

/// Number of backends without connections that are always kept, to say when they lost the last one.
const KEPT_WITHOUT_CONNECTIONS: usize = 16;

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
        match (report, pools.get_mut(pool)) {
            (Some(report), Some(known)) => Arc::make_mut(known).update(&report, self.sample, now),
            (Some(report), None) => {
                let mut new = OwnPool::new(self.sample, now);
                new.update(&report, self.sample, now);
                pools.insert(pool.to_owned(), Arc::new(new));
            }
            (None, _) => {
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

impl OwnPool {
    /// Creates a pool of which nothing has been reported before the answer with this number.
    fn new(answer: u64, now: Instant) -> Self {
        let (backends, known_since) = (BTreeMap::new(), answer);
        Self { sample: 0, counted_at: now, opened: 0, closed_on_purpose: 0, backends, known_since }
    }

    /// Takes in a report, from the answer with this number on.
    fn update(&mut self, report: &Report, answer: u64, now: Instant) {
        self.sample = report.sample;
        self.counted_at = now.checked_sub(report.age).unwrap_or(now);
        (self.opened, self.closed_on_purpose) = (report.opened, report.closed_on_purpose);
        let mut reported = report.connections.iter().map(|(backend, connections)| (*backend, *connections)).peekable();
        let (mut new, mut without) = (Vec::new(), 0);
        for (backend, known) in &mut self.backends {
            new.extend(std::iter::from_fn(|| reported.next_if(|(other, _)| other < backend)));
            let connections = reported.next_if(|(other, _)| other == backend).map_or(0, |(_, connections)| connections);
            if known.connections != connections {
                *known = OwnBackend { connections, changed_at: answer };
            }
            without += usize::from(connections == 0);
        }
        new.extend(reported);
        let begins = |(backend, connections)| (backend, OwnBackend { connections, changed_at: answer });
        self.backends.extend(new.into_iter().map(begins));
        if without > KEPT_WITHOUT_CONNECTIONS.max(self.backends.len() / 2) {
            // From now on nothing tells that they had connections before.
            self.backends.retain(|_, backend| backend.connections > 0);
            self.known_since = answer;
        }
    }

    /// Returns the backends that have connections.
    pub(crate) fn connections(&self) -> impl Iterator<Item = (SocketAddr, u32)> {
        let all = self.backends.iter().map(|(address, backend)| (*address, backend.connections));
        all.filter(|(_, connections)| *connections > 0)
    }

    /// Returns the backends whose connections have changed since the answer with this number, also those that have none any
    /// more; `None` if it is not known.
    pub(crate) fn changes(&self, since: u64) -> Option<impl Iterator<Item = (SocketAddr, u32)>> {
        let changed = self.backends.iter().filter(move |(_, backend)| backend.changed_at > since);
        (since >= self.known_since).then(|| changed.map(|(address, backend)| (*address, backend.connections)))
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
