//! Promises of counting, on real connections.

mod endings;
mod live;
mod probes;
mod random;

use std::{error::Error as _, net::IpAddr, sync::atomic::AtomicU8, time::Duration};

use rstest::rstest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::*;
use crate::{
    netlink::Netlink,
    sample::{EndedBy, Ending, Load},
    socket::{Query, State},
};

/// A listener, whose connections are accepted only on demand.
struct Backend {
    listener: tokio::net::TcpListener,
    address: SocketAddr,
}

impl Backend {
    fn at(ip: &str, backlog: u32) -> Self {
        let address = SocketAddr::new(ip.parse().unwrap(), 0);
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(backlog).unwrap();
        Self { address: listener.local_addr().unwrap(), listener }
    }

    /// Listens at an IP address of its own, so that nothing else connects there.
    fn alone() -> Self {
        Self::at(&Self::next_ip(), 1024)
    }

    fn next_ip() -> String {
        static NEXT_HOST: AtomicU8 = AtomicU8::new(1);
        format!("127.0.78.{}", NEXT_HOST.fetch_add(1, Ordering::Relaxed))
    }

    /// Opens a connection and returns both ends.
    async fn connect(&self) -> (TcpStream, TcpStream) {
        let (ours, theirs) = tokio::join!(TcpStream::connect(self.address), self.listener.accept());
        (ours.unwrap(), theirs.unwrap().0)
    }

    /// Returns a backend whose accept queue is full, so that the kernel drops every further SYN, and what fills it.
    async fn that_drops_packets() -> (Self, Vec<TcpStream>) {
        let backend = Self::at(&Self::next_ip(), 1);
        let mut filling = Vec::new();
        while let Ok(Ok(stream)) =
            tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(backend.address)).await
        {
            filling.push(stream);
        }
        (backend, filling)
    }

    fn set(&self) -> BTreeSet<SocketAddr> {
        [self.address].into()
    }
}

/// Time limit for what should happen at once.
const LIMIT: Duration = Duration::from_secs(30);

/// Starts to count in this way.
fn counting_by(method: Method) -> KernelConnections {
    counting_with(method, &Options::default())
}

fn counting_with(method: Method, options: &Options) -> KernelConnections {
    counting_with_buffer(method, options, Announcements::BUFFER_BYTES)
}

fn counting_with_buffer(method: Method, options: &Options, buffer_bytes: usize) -> KernelConnections {
    let table = match method {
        Method::NetlinkAnnouncements | Method::Netlink => Table::Netlink(Netlink::open().unwrap()).proved().unwrap(),
        Method::Procfs => Table::Procfs.proved().unwrap(),
    };
    if method == Method::NetlinkAnnouncements {
        let (announcements, counter) = prove_announcements(buffer_bytes).unwrap();
        return KernelConnections::with_announcements(table, announcements, counter, options).unwrap();
    }
    KernelConnections::with_dumps(table, options)
}

async fn load(connections: &KernelConnections, backend: &Backend) -> Load {
    connections.sample(&backend.set()).await.unwrap().get(backend.address)
}

/// Samples until the load is as expected, and returns it with what was opened and closed until then, and the endings.
/// Announcements arrive a moment after the end of a connection.
async fn sampled_until(
    connections: &KernelConnections,
    backend: &Backend,
    expected: impl Fn(&Load) -> bool,
) -> (Load, Vec<Ending>) {
    let (mut opened, mut closed, mut endings) = (0, 0, Vec::new());
    let started = std::time::Instant::now();
    loop {
        let sample = connections.sample(&backend.set()).await.unwrap();
        let load = sample.get(backend.address);
        opened += load.opened;
        closed += load.closed;
        endings.extend(sample.endings());
        let load = Load { opened, closed, ..load };
        if expected(&load) {
            return (load, endings);
        }
        assert!(started.elapsed() < LIMIT, "{load:?}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn the_best_way_of_reading_is_used() {
    let connections = KernelConnections::start(Options::default()).await.unwrap();
    assert_eq!(connections.method(), Method::NetlinkAnnouncements);
    let process = Options::default().with_process_id(std::process::id());
    assert_eq!(KernelConnections::start(process).await.unwrap().method(), Method::Netlink);
}

#[rstest]
#[tokio::test]
async fn connections_are_counted_per_backend_with_opened_closed_bytes_and_rtt(
    #[values("127.0.0.7", "127.0.0.8", "::1")] ip: &str,
    #[values(Method::Netlink, Method::NetlinkAnnouncements)] method: Method,
) {
    let (backend, other) = (Backend::at(ip, 128), Backend::at(ip, 128));
    let connections = counting_by(method);
    let (mut first, mut far) = backend.connect().await;
    let second = backend.connect().await;
    let _other = other.connect().await;
    assert_eq!(load(&connections, &backend).await.established, 2);
    drop(second);
    let _third = backend.connect().await;
    let _fourth = backend.connect().await;
    first.write_all(b"twelve bytes").await.unwrap();
    let mut answer = [0; 12];
    far.read_exact(&mut answer).await.unwrap();
    far.write_all(&answer).await.unwrap();
    first.read_exact(&mut answer).await.unwrap();
    let (load, _) = sampled_until(&connections, &backend, |load| load.bytes == 24 && load.closed == 1).await;
    assert_eq!((load.established, load.opening, load.opened, load.retransmits), (3, 0, 2, 0));
    assert!(load.rtt.is_some());
}

#[rstest]
#[tokio::test]
async fn connections_without_a_response_are_counted_as_opening(
    #[values(Method::Netlink, Method::NetlinkAnnouncements)] method: Method,
) {
    let (backend, filling) = Backend::that_drops_packets().await;
    let connections = counting_by(method);
    let dials: Vec<_> = (0..3).map(|_| tokio::spawn(TcpStream::connect(backend.address))).collect();
    let (seen, _) = sampled_until(&connections, &backend, |load| load.opening == 3).await;
    assert_eq!(seen.established as usize, filling.len());
    let (later, _) = sampled_until(&connections, &backend, |load| load.oldest_opening > seen.oldest_opening).await;
    assert_eq!(later.opening, 3);
    dials.iter().for_each(tokio::task::JoinHandle::abort);
    let (end, endings) = sampled_until(&connections, &backend, |load| load.closed == 3).await;
    assert_eq!(end.opening, 0);
    if method == Method::NetlinkAnnouncements {
        assert!(endings.iter().all(|ending| ending.by == EndedBy::NeverAnswered), "{endings:?}");
    }
}

fn query(remote: SocketAddr) -> Query {
    Query { families: [remote.ip().into()].into(), ports: [remote.port()].into() }
}

#[rstest]
#[case("[::]:0", "127.0.0.1:1")]
#[case("127.0.0.1:0", "[::1]:1")]
fn a_listener_is_found_whatever_the_family_of_the_backends(#[case] listener: SocketAddr, #[case] backend: SocketAddr) {
    let listener = std::net::TcpListener::bind(listener).unwrap();
    let port = listener.local_addr().unwrap().port();
    for mut table in [Table::Netlink(Netlink::open().unwrap()), Table::Procfs] {
        let mut found = false;
        table
            .visit(&query(backend), &mut |socket| {
                found |= socket.state == State::Listening && socket.local.port() == port;
            })
            .unwrap();
        assert!(found, "{}", table.method());
    }
}

#[rstest]
#[tokio::test]
async fn a_half_closed_connection_counts_until_it_is_closed(
    #[values(Method::Netlink, Method::NetlinkAnnouncements, Method::Procfs)] method: Method,
) {
    let backend = Backend::alone();
    let connections = counting_by(method);
    let (mut waits, mut works) = backend.connect().await;
    let (_keeps, leaves) = backend.connect().await;
    waits.shutdown().await.unwrap();
    drop(leaves);
    let mut end = [0];
    assert_eq!(works.read(&mut end).await.unwrap(), 0);
    let (seen, _) = sampled_until(&connections, &backend, |load| load.half_closed == 2).await;
    assert_eq!((seen.established, seen.connections(), seen.closed), (0, 2, 0));
    drop(waits);
    let (load, _) = sampled_until(&connections, &backend, |load| load.closed == 1).await;
    assert_eq!((load.half_closed, load.connections()), (1, 1), "an orphan in FIN-WAIT-2 is no load");
}

#[tokio::test]
async fn a_client_with_the_address_and_port_of_a_backend_does_not_count() {
    let entry_point = Backend::alone();
    let client = TcpSocket::new_v4().unwrap();
    client.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    let address = client.local_addr().unwrap();
    let (client, accepted) = tokio::join!(client.connect(entry_point.address), entry_point.listener.accept());
    let connections = counting_by(Method::Netlink);
    let sample = connections.sample(&[address].into()).await.unwrap();
    assert_eq!(sample.get(address), Load::default());
    drop((client, accepted));
}

#[rstest]
#[case("127.0.0.1")]
#[case("::1")]
#[tokio::test]
async fn the_fallback_counts_the_same(#[case] ip: &str) {
    let backend = Backend::at(ip, 128);
    let fallback = counting_by(Method::Procfs);
    let first = backend.connect().await;
    assert_eq!(load(&fallback, &backend).await.established, 1);
    drop(first);
    let _second = backend.connect().await;
    let _third = backend.connect().await;
    let load = load(&fallback, &backend).await;
    assert_eq!((load.established, load.opened, load.closed), (2, 2, 1));
}

#[tokio::test]
async fn only_the_connections_of_one_process_count_if_asked() {
    let backend = Backend::alone();
    let _connection = backend.connect().await;
    for (process, expected) in [(std::process::id(), 1), (1, 0)] {
        let options = Options::default().with_process_id(process);
        let connections = KernelConnections::start(options).await.unwrap();
        match connections.sample(&backend.set()).await {
            Ok(sample) => assert_eq!(sample.get(backend.address).established, expected),
            Err(error) => assert!(process == 1, "only the process of another user cannot be read: {error}"),
        }
    }
}

#[rstest]
#[tokio::test]
async fn an_ipv4_backend_behind_an_ipv6_socket_counts_if_asked(
    #[values(Method::Netlink, Method::NetlinkAnnouncements, Method::Procfs)] method: Method,
) {
    let backend = Backend::alone();
    let socket = TcpSocket::new_v6().unwrap();
    let IpAddr::V4(ip) = backend.address.ip() else { unreachable!("it listens at an IPv4 address") };
    let mapped = SocketAddr::new(ip.to_ipv6_mapped().into(), backend.address.port());
    let (ours, theirs) = tokio::join!(socket.connect(mapped), backend.listener.accept());
    let counting =
        [Options::default(), Options::default().with_ipv4_mapped()].map(|options| counting_with(method, &options));
    for (connections, expected) in counting.iter().zip([0, 1]) {
        assert_eq!(load(connections, &backend).await.established, expected);
    }
    drop(theirs);
    drop(ours);
    let (load, _) = sampled_until(&counting[1], &backend, |load| load.closed == 1).await;
    assert_eq!(load.connections(), 0);
    assert_eq!(self::load(&counting[0], &backend).await, Load::default());
}

#[rstest]
#[tokio::test]
async fn many_ports_are_counted_as_well_as_few(
    #[values(Method::Netlink, Method::NetlinkAnnouncements)] method: Method,
) {
    let backends: Vec<_> = (0..20).map(|_| Backend::alone()).collect();
    let connections = counting_by(method);
    let mut held = Vec::new();
    for backend in &backends {
        held.push(backend.connect().await);
    }
    for asked in [1, 2, 3, 16, 17, 20] {
        let set: BTreeSet<_> = backends.iter().take(asked).map(|b| b.address).collect();
        let sample = connections.sample(&set).await.unwrap();
        assert!(sample.iter().map(|(a, _)| a).eq(set.iter().copied()), "{asked} ports: {sample:?}");
        assert!(sample.iter().all(|(_, load)| load.established == 1));
    }
}

#[test]
fn an_empty_table_is_not_taken_for_no_connections() {
    let missing = || ReadError::ProofMissing("127.0.0.1:1".parse().unwrap());
    let message = Error::Unavailable { netlink: missing(), procfs: missing() }.to_string();
    assert!(message.contains("tcp_diag") && message.contains("only round robin is possible"), "{message}");
}

#[rstest]
#[tokio::test]
async fn each_handle_counts_what_opened_since_its_own_sample_and_no_probe(
    #[values(Method::Netlink, Method::NetlinkAnnouncements, Method::Procfs)] method: Method,
) {
    let backend = Backend::alone();
    let one = counting_by(method);
    let other = one.handle();
    for handle in [&one, &other] {
        load(handle, &backend).await;
    }
    let _first = backend.connect().await;
    sampled_until(&one, &backend, |load| load.opened == 1).await;
    let _second = backend.connect().await;
    let prober = one.prober().with_hold_time(Duration::from_secs(600));
    let probe = tokio::spawn(async move { prober.probe(backend.address).await });
    let _probed = backend.listener.accept().await.unwrap();
    let (seen, _) = sampled_until(&one, &backend, |load| load.opened == 1).await;
    assert_eq!(seen.established, 2);
    assert_eq!(load(&other, &backend).await.opened, 2);
    probe.abort();
}

#[tokio::test]
async fn a_sample_knows_its_cost() {
    let backend = Backend::alone();
    for method in [Method::Netlink, Method::NetlinkAnnouncements] {
        assert!(counting_by(method).sample(&backend.set()).await.unwrap().cost() > Duration::ZERO);
    }
}

#[tokio::test]
async fn a_failed_sample_carries_the_error_of_the_operating_system() {
    let options = Options::default().with_process_id(u32::MAX); // no process has this id
    let connections = KernelConnections::start(options).await.unwrap();
    let error = connections.sample(&BTreeSet::new()).await.unwrap_err();
    let cause = error.source().unwrap().source().unwrap().downcast_ref::<std::io::Error>().unwrap();
    assert_eq!(cause.kind(), std::io::ErrorKind::NotFound);
}
