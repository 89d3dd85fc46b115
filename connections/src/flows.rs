//! Connections of clients through the proxy to backends: who is connected to whom, and who was.

mod ends;
mod flow;
mod follower;
mod pairing;
mod pool;
mod table;

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use self::{flow::MAX_SOCKETS, pool::Pools, table::Table};
pub use self::{
    flow::{Age, ClosedFlow, Flow, FlowState, FlowTable, LoneClient},
    follower::{EndedFlows, FlowEnds},
    pool::FlowPool,
};
use crate::{
    error::{Error, ReadError},
    first_seen::FirstSeen,
    kernel::KernelConnections,
    own_sockets::OwnSockets,
};

/// Reads the connections through a proxy in this process's network namespace, with netlink and without a privilege.
///
/// A connection through the proxy has two sides: the one that the client has opened, and the one that the proxy has opened to
/// a backend. Nothing in the kernel links them. They are paired where the counts of bytes leave only one possibility, and a
/// client that may belong to several backends is left open. That needs a proxy that passes bytes unchanged.
///
/// Nothing is read until it is asked for. A read costs three walks through the sockets of the node. Clones share what they
/// remember between two reads: about 150 bytes for each connection of the last one.
#[derive(Clone)]
pub struct Flows(Arc<Shared>);

/// State that all clones share.
struct Shared {
    table: Mutex<Table>,
    /// Sockets of probes, which are no connections of clients.
    own_sockets: Arc<OwnSockets>,
    /// Moments at which connections were first seen by what counts them.
    first_seen: Option<FirstSeen>,
}

impl Flows {
    /// Maximum number of sockets of each side that a read returns.
    pub const MAX_SOCKETS: usize = MAX_SOCKETS;

    /// Creates a reader. With what counts connections beside it, the ages of those that were counted are known, and its
    /// probes are left out.
    pub fn new(counting: Option<&KernelConnections>) -> Self {
        let own_sockets = counting.map(KernelConnections::own_sockets).unwrap_or_default();
        let first_seen = counting.map(KernelConnections::first_seen);
        Self(Arc::new(Shared { table: Mutex::default(), own_sockets, first_seen }))
    }

    /// Reads all connections of these pools.
    pub async fn read(&self, pools: Vec<FlowPool>) -> Result<FlowTable, Error> {
        let this = self.clone();
        let reading = tokio::task::spawn_blocking(move || this.read_now(&Pools::new(&pools)));
        Ok(reading.await.map_err(|_| Error::Cancelled)??)
    }

    /// Reads all connections while the caller waits.
    fn read_now(&self, pools: &Pools) -> Result<FlowTable, ReadError> {
        let Shared { own_sockets, first_seen, .. } = &*self.0;
        let known = |cookies: &BTreeSet<u64>| first_seen.as_ref().map(|seen| seen(cookies)).unwrap_or_default();
        self.table().read(pools, own_sockets, known)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Flows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flows").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
