//! What is left of closed connections whose clients ignore the end is ended after a grace, and no other half.

use std::{net::SocketAddr, time::Duration};

use ilb_connections::{Closer, Conditions, How, NotNow, Order, Outcome, Refusal, Remote};
use ilb_testbed::{Backend, Behaviour, CloserProcess, KernelSocket, Privileges, World, eventually};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::{
    cluster::{Cluster, alone_with_hosts},
    scene::{FLAGS, Scene, alone, backend},
};

const DRAIN: [(&str, &str); 3] =
    [("ILB_CLOSING_DRAIN_ENABLED", "true"), ("ILB_CLOSING_DRAIN_AFTER", "0s"), ("ILB_CLOSING_DRAIN_QUIET", "100ms")];
const ROLE: [(&str, &str); 1] = [("ILB_CLOSING_ON_SELECTOR_LEFT", "close")];
/// Answers later than within the tick of the kernel's clock in which it was asked.
const BEHAVIOUR: Behaviour = Behaviour::EchoUntilEnd(Duration::from_millis(20));
const CLIENTS: usize = 24;

/// A client that never looks whether its connection has ended.
struct Client {
    stream: BufReader<TcpStream>,
    backend: SocketAddr,
}

impl Client {
    /// Connects, and makes one exchange.
    async fn connect(entry: SocketAddr) -> Self {
        let mut stream = BufReader::new(TcpStream::connect(entry).await.unwrap());
        let backend = line(&mut stream).await.trim().parse().unwrap();
        stream.write_all(b"hello\n").await.unwrap();
        assert_eq!(line(&mut stream).await, "hello\n");
        Self { stream, backend }
    }

    /// Lets the backend end the connection, and returns the half of it that Traefik holds.
    async fn end_by_backend(&mut self) -> KernelSocket {
        self.stream.write_all(b"end\n").await.unwrap();
        assert_eq!(self.stream.read(&mut [0; 1]).await.unwrap(), 0, "the backend has ended it");
        let stream = self.stream.get_ref();
        let (entry, client) = (stream.peer_addr().unwrap(), stream.local_addr().unwrap());
        eventually("Traefik has ended it", async || {
            let socket = KernelSocket::between(entry, client)?;
            anyhow::ensure!(socket.state == "FIN-WAIT-2", "{socket:?}");
            Ok(socket)
        })
        .await
        .unwrap()
    }
}

async fn line(stream: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    stream.read_line(&mut line).await.unwrap();
    line
}

/// Returns the halves of connections with clients of this entry point.
fn halves(entry: SocketAddr) -> Vec<KernelSocket> {
    let is_half = |socket: &KernelSocket| socket.state == "FIN-WAIT-2" && socket.local == entry.to_string();
    KernelSocket::list().unwrap().into_iter().filter(is_half).collect()
}

/// Connects clients until each of two backends has some, and lets one connection to the second be ended by it. What makes the
/// first one leave leaves halves behind, which are ended, and that one is not.
async fn only_what_is_left_of_closings_is_ended(settings: &[(&str, &str)], leave: impl AsyncFnOnce(&World)) {
    let mut cluster = Cluster::start(0, settings).await;
    for index in 0..2 {
        cluster.world.add_backend(index, BEHAVIOUR).await.unwrap();
        cluster.world.pods.create_ready(&World::pod(index), cluster.world.address(index).ip()).await.unwrap();
    }
    let world = &cluster.world;
    world.wait_until_in_force(2).await.unwrap();
    let entry = world.traefik.entry_point();
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(Client::connect(entry).await);
    }
    let left = clients.iter().filter(|client| client.backend == world.address(0)).count();
    assert!(left >= CLIENTS / 4, "{left}");
    let before = clients.iter_mut().find(|client| client.backend == world.address(1)).unwrap();
    let half = before.end_by_backend().await;

    leave(world).await;
    cluster.wait_for_log("connections closed in").await;
    eventually("only the half of before is left", async || {
        let ended = world.ilb.logged("Ending the connection of a client that ignores that its backend's was closed")?;
        let closed = ended.iter().filter(|line| line["result"] == "closed").count();
        let halves = halves(entry);
        anyhow::ensure!((closed, halves.len()) == (left, 1), "{closed} of {left} are ended, {halves:?}");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(halves(entry), std::slice::from_ref(&half));
    before.stream.write_all(b"still here\n").await.unwrap();
    assert!(half.is_alive().unwrap());
    for client in clients.iter_mut().filter(|client| client.backend == world.address(1) && !is_half(client, &half)) {
        client.stream.write_all(b"hello\n").await.unwrap();
        assert_eq!(line(&mut client.stream).await, "hello\n", "a whole connection is as it was");
    }
    assert_eq!(cluster.closed(), 2 * left, "each connection, and what was left of it");
}

fn is_half(client: &Client, half: &KernelSocket) -> bool {
    client.stream.get_ref().local_addr().unwrap().to_string() == half.remote
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn what_a_drain_leaves_behind_is_ended_and_no_other_half() {
    if !alone_with_hosts("halves::what_a_drain_leaves_behind_is_ended_and_no_other_half") {
        return;
    }
    only_what_is_left_of_closings_is_ended(&DRAIN, async |world| {
        world.pods.delete_within(&World::pod(0), 20).await.unwrap();
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn what_a_change_of_role_leaves_behind_is_ended_and_no_other_half() {
    if !alone_with_hosts("halves::what_a_change_of_role_leaves_behind_is_ended_and_no_other_half") {
        return;
    }
    only_what_is_left_of_closings_is_ended(&ROLE, async |world| {
        let label = [("app", Some("something-else"))].into();
        world.pods.label(&World::pod(0), label).await.unwrap();
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn as_a_half_only_a_half_at_an_entry_port_is_closed() {
    if !alone("halves::as_a_half_only_a_half_at_an_entry_port_is_closed") {
        return;
    }
    let scene = Scene::start(1).await;
    let _backend = Backend::start(backend(1), BEHAVIOUR).await.unwrap();
    let closer = CloserProcess::start_apart(Privileges::ROOT_WITH_NET_ADMIN, &FLAGS).await.unwrap();
    let remote = Remote::new(closer.socket());
    let order = |local: SocketAddr, other: SocketAddr, socket: &KernelSocket| Order {
        backend: other,
        local,
        cookie: socket.cookie,
        how: How::Half,
        only_if: Conditions::NONE,
    };
    let is_left_alone = async |order: Order, socket: &KernelSocket, expected: Outcome| {
        assert_eq!(remote.close(&order).await, expected, "{order:?}");
        assert!(socket.is_alive().unwrap(), "{socket:?} is gone");
    };

    let entry = scene.traefik.entry_point();
    let mut client = Client::connect(entry).await;
    let address = client.stream.get_ref().local_addr().unwrap();
    let whole = KernelSocket::between(entry, address).unwrap();
    is_left_alone(order(entry, address, &whole), &whole, Outcome::Refused(Refusal::NotHalf)).await;

    let listener = KernelSocket::listening_at(entry).unwrap();
    let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
    is_left_alone(order(entry, nobody, &listener), &listener, Outcome::Refused(Refusal::Listening)).await;
    is_left_alone(order(entry, address, &listener), &listener, Outcome::Gone).await;

    let (one, upstream) = scene.only_connection().await;
    let not_entry = Outcome::Refused(Refusal::NotEntryPort);
    is_left_alone(order(one.local, one.backend, &upstream), &upstream, not_entry.clone()).await;
    let api = SocketAddr::from((scene.traefik.host(), 8080));
    let asking = TcpStream::connect(api).await.unwrap();
    let asking = asking.local_addr().unwrap();
    let of_api = KernelSocket::between(api, asking).unwrap();
    is_left_alone(order(api, asking, &of_api), &of_api, not_entry).await;

    let half = client.end_by_backend().await;
    let right = order(entry, address, &half);
    for how in [How::Finish, How::Abort] {
        let as_whole = Order { how, ..right };
        is_left_alone(as_whole, &half, Outcome::Refused(Refusal::ForeignAddress)).await;
    }
    let later = Conditions { quiet: Duration::from_secs(3_600), ..Conditions::NONE };
    is_left_alone(Order { only_if: later, ..right }, &half, Outcome::NotNow(NotNow::NotQuiet)).await;
    is_left_alone(Order { cookie: right.cookie + 1, ..right }, &half, Outcome::Gone).await;
    is_left_alone(Order { cookie: 0, ..right }, &half, Outcome::Refused(Refusal::NoCookie)).await;

    assert_eq!(remote.close(&right).await, Outcome::Closed);
    assert!(!half.is_alive().unwrap());
    assert_eq!(remote.close(&right).await, Outcome::Gone);
    assert!(listener.is_alive().unwrap() && of_api.is_alive().unwrap());
}
