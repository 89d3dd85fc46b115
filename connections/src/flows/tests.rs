//! Promises of flows, on real connections through a small proxy in this process.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    time::timeout,
};

use super::*;

const LIMIT: Duration = Duration::from_secs(60);

/// A proxy before one backend, which sends back as many bytes as the first four bytes of a client say, and reads the rest.
struct Scene {
    entry: SocketAddr,
    backend: SocketAddr,
    /// Addresses of a client, and of the proxy's connection for it.
    proxied: mpsc::UnboundedReceiver<(SocketAddr, SocketAddr)>,
}

impl Scene {
    async fn new() -> Self {
        let backends = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let backend = backends.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = backends.accept().await.unwrap();
                tokio::spawn(serve(stream));
            }
        });
        let clients = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let entry = clients.local_addr().unwrap();
        let (sender, proxied) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (mut client, peer) = clients.accept().await.unwrap();
                let mut to = TcpStream::connect(backend).await.unwrap();
                sender.send((peer, to.local_addr().unwrap())).unwrap();
                tokio::spawn(async move {
                    let _ = copy_bidirectional(&mut client, &mut to).await;
                });
            }
        });
        Self { entry, backend, proxied }
    }

    fn pools(&self) -> Vec<FlowPool> {
        let backends = Arc::new([self.backend].into());
        vec![FlowPool { entry_port: Some(self.entry.port()), backends, is_transparent: true }]
    }

    /// Connects a client that sends and gets these many bytes. Returns its end, and the address of the proxy's connection.
    async fn connect(&mut self, sent: u32, got: u32) -> (TcpStream, SocketAddr) {
        let mut client = TcpStream::connect(self.entry).await.unwrap();
        let (peer, local) = self.proxied.recv().await.unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
        let mut request = vec![0; usize::try_from(sent).unwrap()];
        request[..4].copy_from_slice(&got.to_ne_bytes());
        client.write_all(&request).await.unwrap();
        client.read_exact(&mut vec![0; usize::try_from(got).unwrap()]).await.unwrap();
        (client, local)
    }
}

/// Serves a client until it ends its side, or ends first if it sends a `1` in the fifth byte, or resets for a `2`.
async fn serve(mut stream: TcpStream) {
    let mut head = [0; 5];
    if stream.read_exact(&mut head).await.is_err() {
        return;
    }
    let size = usize::try_from(u32::from_ne_bytes(head[..4].try_into().unwrap())).unwrap();
    let _ = stream.write_all(&vec![7; size]).await;
    let mut rest = vec![0; 4096];
    while let Ok(1..) = stream.read(&mut rest).await {
        match rest[0] {
            1 => return,
            2 => {
                let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                return;
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn every_client_that_is_shown_is_connected_to_that_backend_and_equal_ones_are_left_open() {
    let mut scene = Scene::new().await;
    let (mut clients, mut partners) = (Vec::new(), BTreeMap::new());
    // The last three have the same counts.
    for (sent, got) in (0..20).map(|n| (5 + n, 2 * n)).chain([(100, 100); 3]) {
        let (client, local) = scene.connect(sent, got).await;
        partners.insert(local, (client.local_addr().unwrap(), u64::from(sent), u64::from(got)));
        clients.push(client);
    }
    let flows = Flows::new(None);
    let reading = async {
        loop {
            let table = flows.read(scene.pools()).await.unwrap();
            assert_eq!((table.flows.len(), table.left_out), (23, 0));
            for flow in &table.flows {
                let (client, sent, got) = partners[&flow.local];
                assert!(flow.client.is_none_or(|shown| shown == client), "{flow:?} is of {client}");
                assert_eq!((flow.backend, flow.pool, flow.state), (scene.backend, Some(0), FlowState::Established));
                assert_eq!((flow.to_backend, flow.from_backend), (sent, got));
                assert!(flow.rtt.is_some());
            }
            if table.clients.len() == 3 {
                return table;
            }
        }
    };
    let table = timeout(LIMIT, reading).await.unwrap();
    let open: Vec<_> = table.flows.iter().filter(|flow| flow.client.is_none()).map(|flow| flow.to_backend).collect();
    assert_eq!(open, [100; 3]);
    assert!(table.clients.iter().all(|client| (client.from_client, client.to_client, client.pool) == (100, 100, 0)));

    // A pair that was certain stays, also if another connection has the same counts later.
    let (first, local) =
        (clients[0].local_addr().unwrap(), table.flows.iter().find(|flow| flow.to_backend == 5).unwrap().local);
    let (_same, _) = scene.connect(5, 0).await;
    let flows_of = |table: &FlowTable| table.flows.iter().find(|flow| flow.local == local).unwrap().client;
    assert_eq!(flows_of(&flows.read(scene.pools()).await.unwrap()), Some(first));
    // Another reader, which has seen nothing before, cannot tell them apart.
    assert_eq!(flows_of(&Flows::new(None).read(scene.pools()).await.unwrap()), None);
}

#[tokio::test]
async fn a_client_is_not_paired_where_the_proxy_adds_bytes() {
    let mut scene = Scene::new().await;
    let (_client, _) = scene.connect(5, 7).await;
    let pools: Vec<_> = scene.pools().into_iter().map(|pool| FlowPool { is_transparent: false, ..pool }).collect();
    let table = Flows::new(None).read(pools).await.unwrap();
    assert_eq!((table.flows[0].client, table.flows[0].pool, table.clients.len()), (None, Some(0), 1));
}

#[tokio::test]
async fn each_connection_that_ends_is_returned_once_with_exact_counts_and_its_client() {
    let mut scene = Scene::new().await;
    let mut ends = FlowEnds::start(Flows::new(None)).await.unwrap();
    ends.set_pools(&scene.pools());
    let mut expected = BTreeMap::new();
    for (number, how) in
        ["client", "backend", "backend resets", "client resets"].into_iter().cycle().take(24).enumerate()
    {
        let number = u32::try_from(number).unwrap();
        let (mut client, local) = scene.connect(5 + number, 7 * number).await;
        let address = client.local_addr().unwrap();
        let more = match how {
            "backend" => client.write(&[1]).await.unwrap(),
            "backend resets" => client.write(&[2]).await.unwrap(),
            "client resets" => {
                socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
                0
            }
            _ => 0,
        };
        if more > 0 {
            let _ = client.read(&mut [0]).await;
        }
        expected
            .insert(local, (address, how, u64::from(5 + number) + u64::try_from(more).unwrap(), u64::from(7 * number)));
    }
    let (mut seen, mut unknown) = (Vec::new(), 0);
    let following = async {
        while seen.len() < expected.len() {
            let ended = ends.next().await;
            assert!(!ended.has_lost_some);
            unknown += ended.unknown;
            seen.extend(ended.closed);
        }
    };
    timeout(LIMIT, following).await.unwrap();
    for flow in &seen {
        let (client, how, sent, got) = expected.remove(&flow.local).unwrap();
        assert_eq!((flow.to_backend, flow.from_backend, flow.backend), (sent, got, scene.backend), "ended by: {how}");
        assert!(flow.client.is_none_or(|shown| shown == client), "{how}: {flow:?} is of {client}");
        // A connection that is reset is only paired if nothing was on its way.
        assert!(flow.client.is_some() || how.ends_with("resets"), "{how}: {flow:?}");
        assert!(flow.is_exact && flow.age.at_most.is_none_or(|most| most >= flow.age.at_least));
    }
    assert!(expected.is_empty());
    // Those of the clients and of the backend, which are in this network namespace, too, and maybe those of other tests.
    assert!(unknown >= 12, "{unknown} resets");
}

#[tokio::test]
async fn the_time_that_a_connection_was_open_is_between_its_bounds() {
    let mut scene = Scene::new().await;
    let flows = Flows::new(None);
    let mut ends = FlowEnds::start(flows.clone()).await.unwrap();
    ends.set_pools(&scene.pools());
    flows.read(scene.pools()).await.unwrap();
    let opened = Instant::now();
    let (client, _) = scene.connect(9, 9).await;
    let opened_by = opened.elapsed();
    flows.read(scene.pools()).await.unwrap();
    let seen = Instant::now();
    // Some time in which it is open, and seen again.
    tokio::time::sleep(Duration::from_millis(50)).await;
    flows.read(scene.pools()).await.unwrap();
    let seen_for = seen.elapsed();
    drop(client);
    let flow = loop {
        if let Some(flow) = ends.next().await.closed.pop() {
            break flow;
        }
    };
    let open = flow.ended_at - opened;
    assert!(flow.age.at_least <= open && flow.age.at_most.unwrap() + opened_by >= open, "{:?}, {open:?}", flow.age);
    // The kernel counts in ticks of at most 10 ms.
    assert!(flow.age.at_least + Duration::from_millis(10) >= seen_for, "{:?}, {seen_for:?}", flow.age);
}
