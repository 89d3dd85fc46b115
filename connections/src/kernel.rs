use std::{
    collections::{BTreeSet, HashSet},
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use rustix::time::{ClockId, clock_gettime};

use crate::{
    error::{Chain, Error, ReadError},
    netlink::Netlink,
    own_ports::OwnPorts,
    probe::Prober,
    process::sockets_of,
    procfs,
    sample::{Load, Sample},
    socket::{Socket, State, Wanted},
    source::ConnectionSource,
    tracker::{Criteria, Tracker},
};

/// Counts the outgoing connections of a network namespace from the kernel's table of sockets.
///
/// Outgoing means: to one of the wanted addresses (`ip:port`, in full), from a local port that nobody here listens on. So a client
/// that happens to share its address with a backend does not count, nor do the probes of [`KernelConnections::prober`].
/// No privilege is needed. One dump of sockets per sample, on a thread for blocking work.
#[derive(Clone)]
pub struct KernelConnections {
    reader: Arc<Mutex<Reader>>,
    own_ports: Arc<OwnPorts>,
    method: Method,
}

/// What to count. The default is every outgoing connection of the network namespace.
#[derive(Clone, Debug, Default)]
pub struct Options {
    listener_port: Option<u16>,
    process_id: Option<u32>,
    ipv4_mapped: bool,
}

impl Options {
    /// Count only connections of the user that listens on this local port, while somebody does. In a pod with a service
    /// mesh the mesh connects to the backends a second time, as another user.
    #[must_use]
    pub fn with_listener_port(self, port: u16) -> Self {
        Self { listener_port: Some(port), ..self }
    }

    /// Count only connections of this process (needs the right to read its `/proc/PID/fd`).
    #[must_use]
    pub fn with_process_id(self, process_id: u32) -> Self {
        Self { process_id: Some(process_id), ..self }
    }

    /// Look for IPv4 backends among the IPv6 sockets, too: some runtimes (Java, .NET) connect that way, Go does not. It
    /// costs a second walk through the table.
    #[must_use]
    pub fn with_ipv4_mapped(self) -> Self {
        Self { ipv4_mapped: true, ..self }
    }
}

/// How the table of sockets is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Method {
    /// By netlink: with opened and closed connections by cookie, bytes and round-trip times.
    Netlink,
    /// From `/proc/net/tcp`: slower, and only counts.
    Procfs,
}

impl KernelConnections {
    /// Proves with a connection of its own which way of reading works, and takes the better one.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let proof = tokio::task::spawn_blocking(Table::prove);
        let table = proof.await.map_err(|_| Error::Cancelled)??;
        Ok(Self::with_table(table, options))
    }

    /// How the table of sockets is read.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Something to try connections with. They never count.
    pub fn prober(&self) -> Prober {
        Prober::new(Arc::clone(&self.own_ports))
    }

    fn with_table(table: Table, options: Options) -> Self {
        let own_ports = Arc::new(OwnPorts::default());
        let method = table.method();
        let reader = Reader {
            table,
            tracker: Tracker::new(options.listener_port),
            options,
            own_ports: Arc::clone(&own_ports),
            wanted: Wanted { ipv4: false, ipv6: false, ports: Vec::new() },
        };
        Self { reader: Arc::new(Mutex::new(reader)), own_ports, method }
    }
}

#[async_trait]
impl ConnectionSource for KernelConnections {
    async fn sample(&self, backends: &BTreeSet<SocketAddr>) -> Result<Sample, Error> {
        let (reader, targets) = (Arc::clone(&self.reader), Targets::of(backends));
        let reading =
            tokio::task::spawn_blocking(move || reader.lock().unwrap_or_else(PoisonError::into_inner).sample(targets));
        let (loads, cost) = reading.await.map_err(|_| Error::Cancelled)??;
        Ok(loads.into_iter().filter(|(address, _)| backends.contains(address)).collect::<Sample>().with_cost(cost))
    }
}

impl fmt::Debug for KernelConnections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KernelConnections").field("method", &self.method).finish_non_exhaustive()
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Netlink => "netlink",
            Self::Procfs => "/proc/net/tcp",
        })
    }
}

/// The ports of the backends, and the address families that they have.
struct Targets {
    ipv4: bool,
    ipv6: bool,
    ports: Vec<u16>,
}

impl Targets {
    fn of(backends: &BTreeSet<SocketAddr>) -> Self {
        let ports: BTreeSet<u16> = backends.iter().map(SocketAddr::port).collect();
        Self {
            ipv4: backends.iter().any(SocketAddr::is_ipv4),
            ipv6: backends.iter().any(SocketAddr::is_ipv6),
            ports: ports.into_iter().collect(),
        }
    }
}

struct Reader {
    table: Table,
    tracker: Tracker,
    options: Options,
    own_ports: Arc<OwnPorts>,
    wanted: Wanted,
}

impl Reader {
    fn sample(&mut self, targets: Targets) -> Result<(Vec<(SocketAddr, Load)>, Duration), Error> {
        let before = processor_time();
        // Without an IPv6 backend there is nothing to find among the IPv6 sockets; a listener for both families shows
        // there, and its connections do as well.
        let ipv6 = targets.ipv6 || self.options.ipv4_mapped && targets.ipv4;
        self.wanted = Wanted { ipv4: targets.ipv4, ipv6, ports: targets.ports };
        self.own_ports.begin_sample();
        self.tracker.begin_sample(&self.wanted.ports);
        let inodes = self.options.process_id.map(sockets_of).transpose()?;
        self.read(inodes.as_ref())?;
        let loads = self.tracker.end_sample();
        Ok((loads, processor_time().saturating_sub(before)))
    }

    fn read(&mut self, inodes: Option<&HashSet<u32>>) -> Result<(), ReadError> {
        const ATTEMPTS: u32 = 5;
        let criteria = Criteria { own_ports: &self.own_ports, inodes };
        let now = Instant::now();
        for _ in 0..ATTEMPTS {
            self.tracker.begin_attempt();
            let tracker = &mut self.tracker;
            if self.table.visit(&self.wanted, &mut |socket| tracker.see(socket, &criteria, now))? {
                return Ok(());
            }
        }
        Err(ReadError::Interrupted { attempts: ATTEMPTS })
    }
}

enum Table {
    Netlink(Netlink),
    Procfs,
}

impl Table {
    fn prove() -> Result<Self, Error> {
        let by_netlink = Netlink::open().map(Self::Netlink).and_then(Self::proved);
        let netlink = match by_netlink {
            Ok(table) => return Ok(table),
            Err(error) => error,
        };
        match Self::Procfs.proved() {
            Ok(table) => {
                tracing::warn!(netlink = %Chain(&netlink), "connections are counted from /proc/net/tcp, which is slower");
                Ok(table)
            }
            Err(procfs) => Err(Error::Unavailable { netlink, procfs }),
        }
    }

    /// This table, if it shows a connection that is there for sure.
    fn proved(mut self) -> Result<Self, ReadError> {
        let own = OwnConnection::make().map_err(ReadError::io("opening a connection to itself as a proof"))?;
        let wanted = Wanted { ipv4: own.to.is_ipv4(), ipv6: own.to.is_ipv6(), ports: vec![own.to.port()] };
        let mut seen = false;
        self.visit(&wanted, &mut |socket| {
            seen |= socket.state == State::Established && socket.local == own.from && socket.remote == own.to;
        })?;
        if seen { Ok(self) } else { Err(ReadError::ProofMissing(own.to)) }
    }

    /// Answers whether the table was read without interruption.
    fn visit(&mut self, wanted: &Wanted, visit: &mut dyn FnMut(&Socket)) -> Result<bool, ReadError> {
        match self {
            Self::Netlink(netlink) => netlink.visit(wanted, visit).inspect_err(|_| {
                // What is left of a failed answer must not be taken for the next one.
                if let Ok(fresh) = Netlink::open() {
                    *netlink = fresh;
                }
            }),
            Self::Procfs => procfs::visit(wanted, visit).map(|()| true),
        }
    }

    fn method(&self) -> Method {
        match self {
            Self::Netlink(_) => Method::Netlink,
            Self::Procfs => Method::Procfs,
        }
    }
}

/// A connection of this process to itself.
struct OwnConnection {
    from: SocketAddr,
    to: SocketAddr,
    _sockets: (TcpListener, TcpStream),
}

impl OwnConnection {
    fn make() -> std::io::Result<Self> {
        let listener = TcpListener::bind(
            [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), (Ipv6Addr::LOCALHOST, 0).into()].as_slice(),
        )?;
        let stream = TcpStream::connect(listener.local_addr()?)?;
        Ok(Self { from: stream.local_addr()?, to: stream.peer_addr()?, _sockets: (listener, stream) })
    }
}

/// The processor time that this thread has used.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
