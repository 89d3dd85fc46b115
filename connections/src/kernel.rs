//! Counts connections from the kernel's socket table.

use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rustix::time::{ClockId, clock_gettime};

use crate::{
    error::{Error, ReadError},
    own_ports::OwnPorts,
    probe::Prober,
    process::socket_inodes,
    sample::{Ending, Load, Sample},
    socket::{Family, Pass, Query},
    source::ConnectionSource,
    table::{Method, Table},
    tracker::{Criteria, Tracker},
};

/// Counts the outgoing connections of this process's network namespace from the kernel's socket table.
///
/// A connection counts for a backend if its remote address is the backend's (`ip:port`, in full) and its local port is
/// none that this namespace listens on. So a client that happens to share its address with a backend does not count,
/// nor do the probes of [`KernelConnections::prober`].
///
/// Needs no privilege. Each sample reads the table on a thread for blocking work; the bar of the benchmark is 1.5 µs of
/// processor time per socket. Between samples, about 48 bytes are kept per connection and 200 per remote address. If the
/// table changes while it is read, it is read again, up to five times in all.
///
/// A process needs one of them, of which each user has a [`handle`](Self::handle) of its own. Clones share one state:
/// they sample one after the other, and each counts the connections opened and closed since the last sample of any of
/// them.
///
/// # Errors
///
/// [`Error::Unavailable`] comes only from [`start`](Self::start), [`Error::Lost`] only from a sample. A sample that
/// fails can be repeated at any time.
#[derive(Clone)]
pub struct KernelConnections {
    reader: Arc<Mutex<Reader>>,
    table: Arc<Mutex<Table>>,
    own_ports: Arc<OwnPorts>,
    method: Method,
    options: Options,
}

/// The choice of connections to count. The default is every outgoing connection of the network namespace.
#[derive(Clone, Debug, Default)]
pub struct Options {
    listener_port: Option<u16>,
    process_id: Option<u32>,
    ipv4_mapped: bool,
}

impl Options {
    /// Counts only connections of the user that listens on this local TCP port, while there is a listener. In a pod
    /// with a service mesh, the mesh connects to the backends a second time, as another user.
    #[must_use]
    pub fn with_listener_port(self, port: u16) -> Self {
        Self { listener_port: Some(port), ..self }
    }

    /// Counts only connections of the process with this id (needs the right to read its `/proc/PID/fd`).
    #[must_use]
    pub fn with_process_id(self, process_id: u32) -> Self {
        Self { process_id: Some(process_id), ..self }
    }

    /// Also counts connections to IPv4 backends from IPv6 sockets. Some runtimes (Java, .NET) connect that way, Go does
    /// not. Costs a second walk through the table.
    #[must_use]
    pub fn with_ipv4_mapped(self) -> Self {
        Self { ipv4_mapped: true, ..self }
    }
}

impl KernelConnections {
    /// Proves with a connection to itself which way of reading works, and uses the better one.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let proof = tokio::task::spawn_blocking(Table::prove);
        let table = proof.await.map_err(|_| Error::Cancelled)??;
        Ok(Self::with_table(table, options))
    }

    /// Returns the way in which the socket table is read.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Returns a handle for another user, such as another pool. It counts the connections opened and closed since its own
    /// last sample, and shares everything else: the table, the options, and the probes that never count.
    #[must_use]
    pub fn handle(&self) -> Self {
        Self::new(Arc::clone(&self.table), Arc::clone(&self.own_ports), self.method, self.options.clone())
    }

    /// Returns a prober whose connections never count, in the samples of no handle.
    pub fn prober(&self) -> Prober {
        Prober::new(Arc::clone(&self.own_ports))
    }

    fn with_table(table: Table, options: Options) -> Self {
        let method = table.method();
        Self::new(Arc::new(Mutex::new(table)), Arc::default(), method, options)
    }

    fn new(table: Arc<Mutex<Table>>, own_ports: Arc<OwnPorts>, method: Method, options: Options) -> Self {
        let tracker = Tracker::new(options.listener_port);
        let reader =
            Reader { table: Arc::clone(&table), tracker, options: options.clone(), own_ports: Arc::clone(&own_ports) };
        Self { reader: Arc::new(Mutex::new(reader)), table, own_ports, method, options }
    }
}

#[async_trait]
impl ConnectionSource for KernelConnections {
    async fn sample(&self, backends: &BTreeSet<SocketAddr>) -> Result<Sample, Error> {
        let (reader, query) = (Arc::clone(&self.reader), Query::from_remotes(backends));
        let reading =
            tokio::task::spawn_blocking(move || reader.lock().unwrap_or_else(PoisonError::into_inner).sample(query));
        let (loads, endings, cost): Reading = reading.await.map_err(|_| Error::Cancelled)??;
        let loads: Sample = loads.into_iter().filter(|(address, _)| backends.contains(address)).collect();
        let endings = endings.into_iter().filter(|ending| backends.contains(&ending.backend));
        Ok(loads.with_endings(endings).with_cost(cost))
    }
}

impl fmt::Debug for KernelConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelConnections").field("method", &self.method).finish_non_exhaustive()
    }
}

/// The loads of a sample, the connections that ended, and the processor time that it took.
type Reading = (Vec<(SocketAddr, Load)>, Vec<Ending>, Duration);

/// The state of sampling.
struct Reader {
    table: Arc<Mutex<Table>>,
    tracker: Tracker,
    options: Options,
    own_ports: Arc<OwnPorts>,
}

impl Reader {
    fn sample(&mut self, mut query: Query) -> Result<Reading, Error> {
        let before = thread_processor_time();
        // Without an IPv6 backend there is nothing to find among the IPv6 sockets: a listener for both families is one
        // of them, and so are the connections that it accepts.
        if self.options.ipv4_mapped && query.families.contains(&Family::V4) {
            query.families.insert(Family::V6);
        }
        let table = Arc::clone(&self.table);
        let mut table = table.lock().unwrap_or_else(PoisonError::into_inner);
        self.own_ports.begin_sample();
        self.tracker.begin_sample(&query.ports);
        let inodes = self.options.process_id.map(socket_inodes).transpose()?;
        self.read(&mut table, &query, inodes.as_ref())?;
        let (loads, endings) = self.tracker.end_sample(Instant::now());
        Ok((loads, endings, thread_processor_time().saturating_sub(before)))
    }

    fn read(&mut self, table: &mut Table, query: &Query, inodes: Option<&HashSet<u32>>) -> Result<(), ReadError> {
        const MAX_READ_ATTEMPTS: u32 = 5;
        let criteria = Criteria { own_ports: &self.own_ports, inodes };
        let now = Instant::now();
        for _ in 0..MAX_READ_ATTEMPTS {
            self.tracker.begin_attempt();
            let tracker = &mut self.tracker;
            match table.visit(query, &mut |socket| tracker.see(socket, &criteria, now))? {
                Pass::Consistent => return Ok(()),
                Pass::Interrupted => {}
            }
        }
        Err(ReadError::Interrupted { attempts: MAX_READ_ATTEMPTS })
    }
}

/// Returns the processor time that this thread has used.
fn thread_processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
