//! Promises of counting and probing, on real connections.

use std::{error::Error as _, io, net::Ipv4Addr};

use rstest::rstest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::*;
use crate::{netlink::Netlink, probe::ProbeError, procfs, socket::State};

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

    /// Opens a connection and returns both ends.
    async fn connect(&self) -> (TcpStream, TcpStream) {
        let (ours, theirs) = tokio::join!(TcpStream::connect(self.address), self.listener.accept());
        (ours.unwrap(), theirs.unwrap().0)
    }

    /// Returns a backend whose accept queue is full, so that the kernel drops every further SYN, and what fills it.
    async fn that_drops_packets(ip: &str) -> (Self, Vec<TcpStream>) {
        let backend = Self::at(ip, 1);
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

async fn netlink() -> KernelConnections {
    let connections = KernelConnections::start(Options::default()).await.unwrap();
    assert_eq!(connections.method(), Method::Netlink);
    connections
}

async fn load(connections: &KernelConnections, backend: &Backend) -> Load {
    connections.sample(&backend.set()).await.unwrap().get(backend.address)
}

#[rstest]
#[case("127.0.0.1")]
#[case("127.0.0.7")]
#[case("::1")]
#[tokio::test]
async fn connections_are_counted_per_backend_with_opened_closed_bytes_and_rtt(#[case] ip: &str) {
    let (backend, other) = (Backend::at(ip, 128), Backend::at(ip, 128));
    let connections = netlink().await;
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
    let load = load(&connections, &backend).await;
    assert_eq!((load.established, load.opening, load.opened, load.closed), (3, 0, 2, 1));
    assert_eq!((load.bytes, load.retransmits), (24, 0));
    assert!(load.rtt.is_some());
}

#[tokio::test]
async fn connections_without_a_response_are_counted_as_opening() {
    let (backend, filling) = Backend::that_drops_packets("127.0.0.1").await;
    let connections = netlink().await;
    let dials: Vec<_> = (0..3).map(|_| tokio::spawn(TcpStream::connect(backend.address))).collect();
    let seen = loop {
        let load = load(&connections, &backend).await;
        if load.opening == 3 {
            break load;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(seen.established as usize, filling.len());
    let later = loop {
        let load = load(&connections, &backend).await;
        if load.oldest_opening > seen.oldest_opening {
            break load;
        }
    };
    assert_eq!(later.opening, 3);
    dials.iter().for_each(tokio::task::JoinHandle::abort);
}

#[tokio::test]
async fn a_probe_in_progress_never_counts() {
    let (backend, filling) = Backend::that_drops_packets("127.0.0.1").await;
    let connections = netlink().await;
    let prober = connections.prober().with_timeout(Duration::from_millis(200));
    let probe = tokio::spawn(async move { prober.probe(backend.address).await });
    let mut opening = 0;
    while !probe.is_finished() {
        let sample = connections.sample(&[backend.address].into()).await.unwrap();
        assert_eq!(sample.get(backend.address).opening, 0);
        opening += opening_in_procfs(backend.address);
    }
    assert!(opening > 0, "the probe was never visible");
    let Err(ProbeError::Backend(error)) = probe.await.unwrap() else { panic!("the backend did not respond") };
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    drop(filling);
}

/// Counts the opening connections to `remote` of all processes, without any filter.
fn opening_in_procfs(remote: SocketAddr) -> usize {
    let mut opening = 0;
    procfs::visit(&Query::from_remotes([&remote]), &mut |socket| {
        opening += usize::from(socket.state == State::Opening && socket.remote == remote);
    })
    .unwrap();
    opening
}

#[tokio::test]
async fn a_probe_tells_a_backend_that_accepts_from_one_that_refuses() {
    let backend = Backend::at("127.0.0.1", 128);
    let prober = netlink().await.prober();
    assert!(prober.probe(backend.address).await.is_ok());
    let closed = backend.address;
    drop(backend);
    let Err(ProbeError::Backend(error)) = prober.probe(closed).await else { panic!("nothing listens there") };
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_probe_tells_a_backend_that_closes_at_once_from_one_that_greets_and_waits() {
    let backend = Backend::at("127.0.0.1", 128);
    let prober = netlink().await.prober();
    let closes = async {
        drop(backend.listener.accept().await.unwrap());
    };
    let (result, ()) = tokio::join!(prober.probe(backend.address), closes);
    assert!(result.unwrap().closed_by_backend);
    let greets_and_closes = async {
        backend.listener.accept().await.unwrap().0.write_all(b"too many connections").await.unwrap();
    };
    let (result, ()) = tokio::join!(prober.reprobe(backend.address), greets_and_closes);
    assert!(result.unwrap().closed_by_backend);
    let waits = async {
        let (mut stream, _) = backend.listener.accept().await.unwrap();
        stream.write_all(b"welcome").await.unwrap();
        stream
    };
    let (result, _stream) = tokio::join!(prober.probe(backend.address), waits);
    assert!(!result.unwrap().closed_by_backend);
}

#[tokio::test]
async fn a_probe_waits_for_no_place_among_the_repeated_ones() {
    let (backend, filling) = Backend::that_drops_packets("127.0.0.1").await;
    let prober = netlink().await.prober().with_timeout(Duration::from_secs(600));
    let reprobes: Vec<_> = (0..Prober::MAX_CONCURRENT_REPEATED_PROBES)
        .map(|_| {
            let prober = prober.clone();
            tokio::spawn(async move { prober.reprobe(backend.address).await })
        })
        .collect();
    while opening_in_procfs(backend.address) < reprobes.len() {
        tokio::task::yield_now().await;
    }
    let other = Backend::at("127.0.0.1", 128);
    let prober = prober.with_hold_time(Duration::ZERO);
    assert!(prober.probe(other.address).await.is_ok());
    reprobes.iter().for_each(tokio::task::JoinHandle::abort);
    drop(filling);
}

#[rstest]
#[case("[::]:0", "127.0.0.1:1")]
#[case("127.0.0.1:0", "[::1]:1")]
fn a_listener_is_found_whatever_the_family_of_the_backends(#[case] listener: SocketAddr, #[case] backend: SocketAddr) {
    let listener = std::net::TcpListener::bind(listener).unwrap();
    let port = listener.local_addr().unwrap().port();
    for mut table in [Table::Netlink(Netlink::open().unwrap()), Table::Procfs] {
        let mut found = false;
        let _ = table
            .visit(&Query::from_remotes([&backend]), &mut |socket| {
                found |= socket.state == State::Listening && socket.local.port() == port;
            })
            .unwrap();
        assert!(found, "{}", table.method());
    }
}

#[rstest]
#[case(Method::Netlink)]
#[case(Method::Procfs)]
#[tokio::test]
async fn a_half_closed_connection_counts_until_it_is_closed(#[case] method: Method) {
    let backend = Backend::at("127.0.0.1", 128);
    let table = match method {
        Method::Netlink => Table::Netlink(Netlink::open().unwrap()),
        Method::Procfs => Table::Procfs,
    };
    let connections = KernelConnections::with_table(table, Options::default());
    let (mut waits, mut works) = backend.connect().await;
    let (_keeps, leaves) = backend.connect().await;
    waits.shutdown().await.unwrap();
    drop(leaves);
    let mut end = [0];
    assert_eq!(works.read(&mut end).await.unwrap(), 0);
    let seen = loop {
        let load = load(&connections, &backend).await;
        if load.half_closed == 2 {
            break load;
        }
    };
    assert_eq!((seen.established, seen.connections(), seen.closed), (0, 2, 0));
    drop(waits);
    let load = load(&connections, &backend).await;
    assert_eq!((load.half_closed, load.connections(), load.closed), (1, 1, 1), "an orphan in FIN-WAIT-2 is no load");
}

#[tokio::test]
async fn a_client_with_the_address_and_port_of_a_backend_does_not_count() {
    let entry_point = Backend::at("127.0.0.1", 128);
    let client = TcpSocket::new_v4().unwrap();
    client.bind("127.0.0.8:0".parse().unwrap()).unwrap();
    let address = client.local_addr().unwrap();
    let (client, accepted) = tokio::join!(client.connect(entry_point.address), entry_point.listener.accept());
    let connections = netlink().await;
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
    let fallback = KernelConnections::with_table(Table::Procfs.proved().unwrap(), Options::default());
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
    let backend = Backend::at("127.0.0.1", 128);
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

#[tokio::test]
async fn an_ipv4_backend_behind_an_ipv6_socket_counts_if_asked() {
    let backend = Backend::at("127.0.0.1", 128);
    let socket = TcpSocket::new_v6().unwrap();
    let mapped = SocketAddr::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), backend.address.port());
    let _both = tokio::join!(socket.connect(mapped), backend.listener.accept());
    for (options, expected) in [(Options::default(), 0), (Options::default().with_ipv4_mapped(), 1)] {
        let connections = KernelConnections::start(options).await.unwrap();
        assert_eq!(load(&connections, &backend).await.established, expected);
    }
}

#[tokio::test]
async fn many_ports_are_counted_as_well_as_few() {
    let backends: Vec<_> = (0..20).map(|_| Backend::at("127.0.0.1", 128)).collect();
    let connections = netlink().await;
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

#[tokio::test]
async fn each_handle_counts_what_opened_since_its_own_sample_and_no_probe() {
    let backend = Backend::at("127.0.0.1", 128);
    let one = netlink().await;
    let other = one.handle();
    for handle in [&one, &other] {
        load(handle, &backend).await;
    }
    let _first = backend.connect().await;
    assert_eq!(load(&one, &backend).await.opened, 1);
    let _second = backend.connect().await;
    let prober = one.prober().with_hold_time(Duration::from_secs(600));
    let probe = tokio::spawn(async move { prober.probe(backend.address).await });
    let _probed = backend.listener.accept().await.unwrap();
    let opened = [load(&one, &backend).await.opened, load(&other, &backend).await.opened];
    assert_eq!(opened, [1, 2]);
    probe.abort();
}

#[tokio::test]
async fn a_sample_knows_its_cost() {
    let backend = Backend::at("127.0.0.1", 128);
    assert!(netlink().await.sample(&backend.set()).await.unwrap().cost() > Duration::ZERO);
}

#[tokio::test]
async fn a_failed_sample_carries_the_error_of_the_operating_system() {
    let options = Options::default().with_process_id(u32::MAX); // no process has this id
    let connections = KernelConnections::start(options).await.unwrap();
    let error = connections.sample(&BTreeSet::new()).await.unwrap_err();
    let cause = error.source().unwrap().source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(cause.kind(), io::ErrorKind::NotFound);
}
