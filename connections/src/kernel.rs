//! Counts connections from the kernel's socket table.

use std::{
    collections::BTreeSet,
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use tokio::task::JoinHandle;

use crate::{
    accounts::AccountId,
    announced::{AnnouncementQueue, Watch, follow},
    connection::Connection,
    counters::OpenedCounter,
    descriptor::watched,
    error::{Chain, Error, ReadError},
    first_seen::FirstSeen,
    following::Following,
    ledger::Ledger,
    method::Method,
    netlink::Announcements,
    own_sockets::OwnSockets,
    probe::Prober,
    reader::{Reader, Way},
    sample::Sample,
    source::ConnectionSource,
    system::{Host, System},
    table::{Table, prove_announcements},
    view::View,
};

/// Counts the outgoing connections of this process's network namespace from the kernel's socket table.
///
/// A connection counts for a backend if its remote address is the backend's (`ip:port`, in full) and its local port is
/// none that this namespace listens on. So a client that happens to share its address with a backend does not count,
/// nor do the probes of [`KernelConnections::prober`].
///
/// Needs no privilege. Where the kernel announces closed connections ([`Method::NetlinkAnnouncements`]), the cost of a
/// sample follows from what happened since the last one, and not from the number of connections, or of sockets of the
/// node; connections that lived for less than the time between two samples are counted and reported, too. Opened
/// connections are looked up at the local ports that the kernel should have given them. The whole table is read at most
/// once a second, and when something is known to be missing, within 0.45 % of a core: until then, a new connection that
/// was not found does not count. Elsewhere, each sample reads the whole table; the bar of the benchmark is 1.5 µs of
/// processor time per socket. About 150 bytes are kept per connection and 250 per remote address.
///
/// A process needs one of them, of which each user has a [`handle`](Self::handle) of its own. Clones share one state:
/// they sample one after the other, and each counts the connections opened and closed since the last sample of any of
/// them.
///
/// # Errors
///
/// [`Error::Unavailable`] comes only from [`start`](Self::start), [`Error::Lost`] only from a sample. A sample that
/// fails can be repeated at any time, and loses nothing: the next one has the connections that it saw open or close.
#[derive(Clone)]
pub struct KernelConnections {
    shared: Arc<Shared>,
    user: Arc<User>,
}

/// The choice of connections to count. The default is every outgoing connection of the network namespace.
#[derive(Clone, Debug, Default)]
pub struct Options {
    listener_port: Option<u16>,
    process_id: Option<u32>,
    ipv4_mapped: bool,
    whole_table: bool,
}

impl Options {
    /// Counts only connections of the user that listens on this local TCP port, or has listened there last. As long as
    /// nobody ever has, those of all users count. In a pod with a service mesh, the mesh connects to the backends a second
    /// time, as another user. There, connections that live for less than the time between two samples are not counted:
    /// of a connection that has ended, the kernel does not report the user.
    #[must_use]
    pub fn with_listener_port(self, port: u16) -> Self {
        Self { listener_port: Some(port), ..self }
    }

    /// Counts only connections of the process with this id (needs the right to read its `/proc/PID/fd`). Each sample reads
    /// the whole table.
    #[must_use]
    pub fn with_process_id(self, process_id: u32) -> Self {
        Self { process_id: Some(process_id), ..self }
    }

    /// Reads the whole table for each sample, also where the kernel announces closed connections.
    #[must_use]
    pub fn with_whole_table(self) -> Self {
        Self { whole_table: true, ..self }
    }

    /// Also counts connections to IPv4 backends from IPv6 sockets. Some runtimes (Java, .NET) connect that way, Go does
    /// not. Costs a second walk through the table.
    #[must_use]
    pub fn with_ipv4_mapped(self) -> Self {
        Self { ipv4_mapped: true, ..self }
    }
}

/// State that all handles share.
struct Shared {
    reader: Mutex<Reader<Host>>,
    users: Mutex<Vec<(AccountId, Weak<User>)>>,
    queue: Option<Arc<AnnouncementQueue>>,
    own_sockets: Arc<OwnSockets>,
    method: Method,
    /// Ends with the last handle.
    _follower: Option<Follower>,
}

/// A user of the counts.
struct User {
    id: AccountId,
    backends: Mutex<Arc<BTreeSet<SocketAddr>>>,
    watch: Arc<Watch>,
}

/// The task that receives announcements, which ends when this is dropped.
struct Follower(JoinHandle<()>);

/// The ways of reading that are proved to work.
struct Proved {
    table: Table,
    following: Option<(Announcements, OpenedCounter)>,
}

impl KernelConnections {
    /// Proves with a connection to itself which way of reading works, and uses the best one. To be called in a Tokio
    /// runtime with I/O and time.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let announcements_can_help = options.process_id.is_none() && !options.whole_table;
        let proof = tokio::task::spawn_blocking(move || Proved::prove(announcements_can_help));
        let Proved { table, following } = proof.await.map_err(|_| Error::Cancelled)??;
        Ok(match following {
            Some((announcements, counter)) => Self::with_announcements(table, announcements, counter, &options)?,
            None => Self::with_dumps(table, &options),
        })
    }

    /// Returns the way in which the socket table is read.
    pub fn method(&self) -> Method {
        self.shared.method
    }

    /// Returns a handle for another user, such as another pool. It counts the connections opened and closed since its own
    /// last sample, and shares everything else: the table, the options, and the probes that never count.
    #[must_use]
    pub fn handle(&self) -> Self {
        Self::with_shared(Arc::clone(&self.shared))
    }

    /// Returns a prober whose connections never count, in the samples of no handle.
    pub fn prober(&self) -> Prober {
        Prober::new(Arc::clone(&self.shared.own_sockets))
    }

    /// Returns the sockets of probes.
    pub(crate) fn own_sockets(&self) -> Arc<OwnSockets> {
        Arc::clone(&self.shared.own_sockets)
    }

    /// Returns what looks up when connections were first seen.
    pub(crate) fn first_seen(&self) -> FirstSeen {
        let shared = Arc::downgrade(&self.shared);
        Arc::new(move |cookies| shared.upgrade().map(|shared| shared.reader().first_seen(cookies)).unwrap_or_default())
    }

    fn with_dumps(table: Table, options: &Options) -> Self {
        let method = table.method();
        let view = View::new(Host::new(table, None), options);
        let own_sockets = Arc::clone(&view.own_sockets);
        let reader = Reader::new(view, Way::Dumps { process_id: options.process_id });
        Self::with_shared(Arc::new(Shared::new(reader, None, own_sockets, method)))
    }

    fn with_announcements(
        table: Table,
        announcements: Announcements,
        counter: OpenedCounter,
        options: &Options,
    ) -> Result<Self, ReadError> {
        let own_sockets = Arc::new(OwnSockets::default());
        let queue = Arc::new(AnnouncementQueue::new(announcements, Arc::clone(&own_sockets))?);
        let host = Host::new(table, Some((Arc::clone(&queue), counter)));
        let following = Following::new(host.now());
        let view = View { own_sockets: Arc::clone(&own_sockets), ..View::new(host, options) };
        let descriptor = watched(queue.descriptor()?).map_err(ReadError::io("waiting for a netlink socket"))?;
        let follower = Follower(tokio::spawn(follow(Arc::clone(&queue), descriptor)));
        let reader = Reader::new(view, Way::Announcements(following));
        let shared = Shared::new(reader, Some(queue), own_sockets, Method::NetlinkAnnouncements);
        Ok(Self::with_shared(Arc::new(Shared { _follower: Some(follower), ..shared })))
    }

    fn with_shared(shared: Arc<Shared>) -> Self {
        let user = User::new();
        if let Some(queue) = &shared.queue {
            queue.add_watch(user.id, &user.watch);
        }
        shared.users().push((user.id, Arc::downgrade(&user)));
        Self { shared, user }
    }
}

#[async_trait]
impl ConnectionSource for KernelConnections {
    async fn sample(&self, backends: &BTreeSet<SocketAddr>) -> Result<Sample, Error> {
        let backends = self.user.set_backends(backends);
        let (shared, user) = (Arc::clone(&self.shared), Arc::clone(&self.user));
        let sampling = tokio::task::spawn_blocking(move || shared.sample(user.id, &backends));
        sampling.await.map_err(|_| Error::Cancelled)?
    }

    async fn connections(&self, backends: &BTreeSet<SocketAddr>) -> Result<Vec<Connection>, Error> {
        let (shared, backends) = (Arc::clone(&self.shared), backends.clone());
        let reading = tokio::task::spawn_blocking(move || shared.reader().connections(&backends));
        reading.await.map_err(|_| Error::Cancelled)?
    }

    async fn ended(&self) {
        if self.shared.queue.is_some() {
            self.user.watch.ended().await;
        } else {
            std::future::pending::<()>().await;
        }
    }
}

impl fmt::Debug for KernelConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelConnections").field("method", &self.shared.method).finish_non_exhaustive()
    }
}

impl Shared {
    fn new(
        reader: Reader<Host>,
        queue: Option<Arc<AnnouncementQueue>>,
        own_sockets: Arc<OwnSockets>,
        method: Method,
    ) -> Self {
        let (reader, users) = (Mutex::new(reader), Mutex::default());
        Self { reader, users, queue, own_sockets, method, _follower: None }
    }

    fn sample(&self, user: AccountId, backends: &Arc<BTreeSet<SocketAddr>>) -> Result<Sample, Error> {
        let mut reader = self.reader();
        let alive: BTreeSet<AccountId> = {
            let mut users = self.users();
            users.retain(|(_, user)| user.strong_count() > 0);
            users.iter().map(|(id, _)| *id).collect()
        };
        reader.sample(user, backends, |id| alive.contains(&id)).map(|sample| sample.with_method(self.method))
    }

    fn reader(&self) -> std::sync::MutexGuard<'_, Reader<Host>> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn users(&self) -> std::sync::MutexGuard<'_, Vec<(AccountId, Weak<User>)>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl User {
    fn new() -> Arc<Self> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self { id, backends: Mutex::default(), watch: Arc::default() })
    }

    /// Sets the backends to count, and returns the shared set of them.
    fn set_backends(&self, backends: &BTreeSet<SocketAddr>) -> Arc<BTreeSet<SocketAddr>> {
        let mut known = self.backends.lock().unwrap_or_else(PoisonError::into_inner);
        if **known != *backends {
            *known = Arc::new(backends.clone());
            self.watch.set_backends(&known);
        }
        Arc::clone(&known)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Proved {
    fn prove(announcements_can_help: bool) -> Result<Self, Error> {
        let table = Table::prove()?;
        let following = match table.method() {
            Method::Netlink if announcements_can_help => prove_announcements(Announcements::BUFFER_BYTES)
                .inspect_err(|error| {
                    tracing::warn!(error = %Chain(error), "each count reads the whole table, which is slower");
                })
                .ok(),
            _ => None,
        };
        Ok(Self { table, following })
    }
}

impl View<Host> {
    fn new(system: Host, options: &Options) -> Self {
        let ledger = Ledger::new(options.listener_port, options.ipv4_mapped);
        Self { system, ledger, own_sockets: Arc::default() }
    }
}

#[cfg(test)]
mod tests;
