//! A closer refuses whatever is not a connection of the proxy to a backend, and leaves it as it is.

use std::{
    net::{IpAddr, SocketAddr},
    process::Command,
};

use ilb_connections::{Closer, Conditions, How, Order, Outcome, Refusal, Remote};
use ilb_testbed::{Backend, Behaviour, CloserProcess, KernelSocket, Privileges, Process, add_address, eventually};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

use crate::scene::{FLAGS, Scene, alone, backend};

fn order(local: SocketAddr, backend: SocketAddr, cookie: u64) -> Order {
    Order { backend, local, cookie, how: How::Abort, only_if: Conditions::NONE }
}

async fn connect_from(local: SocketAddr, to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(local).unwrap();
    socket.connect(to).await.unwrap()
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn whatever_is_not_a_connection_of_the_proxy_to_a_backend_is_refused_and_lives() {
    if !alone("refusals::whatever_is_not_a_connection_of_the_proxy_to_a_backend_is_refused_and_lives") {
        return;
    }
    let scene = Scene::start(1).await;
    let _backend = Backend::start(backend(1), Behaviour::Echo).await.unwrap();
    let closer = CloserProcess::start(Privileges::ROOT_WITH_NET_ADMIN, &FLAGS).await.unwrap();
    let remote = Remote::new(closer.socket());
    let refused = async |order: Order, socket: &KernelSocket, why: Refusal| {
        assert_eq!(remote.close(&order).await, Outcome::Refused(why), "{order:?}");
        assert!(socket.is_alive().unwrap(), "{socket:?} was {why:?} and is gone");
    };

    // The listener of the entry point, in the forms in which it could be named.
    let entry = scene.traefik.entry_point();
    let listener = KernelSocket::listening_at(entry).unwrap();
    let unspecified = SocketAddr::from(([0, 0, 0, 0], 0));
    refused(order(entry, unspecified, listener.cookie), &listener, Refusal::ForeignAddress).await;
    refused(order(entry, backend(1), listener.cookie), &listener, Refusal::Listening).await;

    // The socket of a client that has an address and a port of a backend.
    let guest: IpAddr = [10, 9, 0, 77].into();
    add_address(guest).unwrap();
    let client_address = SocketAddr::new(guest, 5432);
    let mut client = connect_from(client_address, entry).await;
    let of_client = KernelSocket::between(entry, client_address).unwrap();
    refused(order(entry, client_address, of_client.cookie), &of_client, Refusal::Listening).await;

    // Connections to whatever is no backend: another port, another network, and Traefik's own API.
    let elsewhere = [SocketAddr::from(([10, 9, 0, 1], 6443)), SocketAddr::from(([192, 0, 2, 1], 5432))];
    add_address(elsewhere[1].ip()).unwrap();
    for (address, why) in elsewhere.into_iter().zip([Refusal::ForeignPort, Refusal::ForeignAddress]) {
        let _server = Backend::start(address, Behaviour::Echo).await.unwrap();
        let stream = TcpStream::connect(address).await.unwrap();
        let local = stream.local_addr().unwrap();
        let socket = KernelSocket::between(local, address).unwrap();
        refused(order(local, address, socket.cookie), &socket, why).await;
    }
    let api = SocketAddr::from((scene.traefik.host(), 8080));
    let stream = TcpStream::connect(api).await.unwrap();
    let local = stream.local_addr().unwrap();
    let of_api = KernelSocket::between(local, api).unwrap();
    refused(order(local, api, of_api.cookie), &of_api, Refusal::ForeignAddress).await;

    // A connection to a backend of somebody else in this network namespace.
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new("setpriv");
    let target = format!("exec 3<>/dev/tcp/{}/{}; exec sleep infinity", backend(1).ip(), backend(1).port());
    command.args(["--reuid=1234", "--regid=1234", "--clear-groups", "bash", "-c", &target]);
    let before = KernelSocket::list().unwrap();
    let mut stranger = Process::start("stranger", &command, &folder.path().join("log")).unwrap();
    let of_stranger = eventually("the stranger connects", async || {
        stranger.check_running()?;
        let sockets = KernelSocket::list()?.into_iter();
        let mut new =
            sockets.filter(|s| s.remote == backend(1).to_string() && s.state == "ESTAB" && !before.contains(s));
        new.next().ok_or_else(|| anyhow::anyhow!("not yet"))
    })
    .await
    .unwrap();
    let local = of_stranger.local.parse().unwrap();
    refused(order(local, backend(1), of_stranger.cookie), &of_stranger, Refusal::OtherUser).await;

    // The right connection by a wrong cookie, by any cookie, and by a wrong address.
    let (one, socket) = scene.only_connection().await;
    refused(order(one.local, one.backend, 0), &socket, Refusal::NoCookie).await;
    refused(order(one.local, one.backend, u64::MAX), &socket, Refusal::NoCookie).await;
    assert_eq!(remote.close(&order(one.local, one.backend, one.cookie + 1)).await, Outcome::Gone);
    let wrong = SocketAddr::new(one.local.ip(), one.local.port() ^ 1);
    assert_eq!(remote.close(&order(wrong, one.backend, one.cookie)).await, Outcome::Gone);
    assert!(socket.is_alive().unwrap());
    client.write_all(b"alive\n").await.unwrap();
    let mut greeting = vec![0; format!("{}\nalive\n", backend(1)).len()];
    client.read_exact(&mut greeting).await.unwrap();

    // A second client, which may not even close the right one.
    let second = Remote::new(closer.socket());
    let right = order(one.local, one.backend, one.cookie);
    assert_eq!(second.close(&right).await, Outcome::Refused(Refusal::SecondClient));
    assert!(socket.is_alive().unwrap());

    // The right one: its client sees the end, and the backend a reset.
    assert_eq!(remote.close(&right).await, Outcome::Closed);
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0, "the client sees the end of the connection");
    assert_eq!(remote.close(&right).await, Outcome::Gone);
    assert!(!socket.is_alive().unwrap());
    assert!(listener.is_alive().unwrap() && of_stranger.is_alive().unwrap());
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn closings_are_bounded_in_a_second_and_in_an_hour() {
    if !alone("refusals::closings_are_bounded_in_a_second_and_in_an_hour") {
        return;
    }
    let scene = Scene::start(1).await;
    let _backend = Backend::start(backend(1), Behaviour::Echo).await.unwrap();
    for (limit, allowed, why) in [("--max-rate=3", 3, Refusal::TooFast), ("--max-per-hour=2", 2, Refusal::TooMany)] {
        let flags: Vec<_> = FLAGS.into_iter().chain([limit]).collect();
        let closer = CloserProcess::start(Privileges::ROOT_WITH_NET_ADMIN, &flags).await.unwrap();
        let mut clients = Vec::new();
        for _ in 0..=allowed {
            clients.push(TcpStream::connect(scene.traefik.entry_point()).await.unwrap());
        }
        let connections = eventually("all connections are known", async || {
            let connections = scene.connections().await;
            anyhow::ensure!(connections.len() == clients.len(), "{} are", connections.len());
            Ok(connections)
        })
        .await
        .unwrap();
        let remote = Remote::new(closer.socket());
        let (last, first) = connections.split_last().unwrap();
        for one in first {
            assert_eq!(remote.close(&order(one.local, one.backend, one.cookie)).await, Outcome::Closed);
        }
        let socket = KernelSocket::between(last.local, last.backend).unwrap();
        assert_eq!(remote.close(&order(last.local, last.backend, last.cookie)).await, Outcome::Refused(why));
        assert!(socket.is_alive().unwrap());
        drop(clients);
        eventually("their connections end", async || {
            anyhow::ensure!(scene.connections().await.is_empty(), "not yet");
            Ok(())
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn nothing_is_closed_while_nobody_listens_for_clients() {
    if !alone("refusals::nothing_is_closed_while_nobody_listens_for_clients") {
        return;
    }
    add_address(backend(1).ip()).unwrap();
    let _backend = Backend::start(backend(1), Behaviour::Echo).await.unwrap();
    let stream = TcpStream::connect(backend(1)).await.unwrap();
    let closer = CloserProcess::start(Privileges::ROOT_WITH_NET_ADMIN, &FLAGS).await.unwrap();
    let local = stream.local_addr().unwrap();
    let socket = KernelSocket::between(local, backend(1)).unwrap();
    let remote = Remote::new(closer.socket());
    let close = async || remote.close(&order(local, backend(1), socket.cookie)).await;
    assert_eq!(close().await, Outcome::Refused(Refusal::NoListener));
    // The closer has listed the listeners by now, and one that comes or goes counts at once.
    let listener = TcpListener::bind(("0.0.0.0", 3333)).await.unwrap();
    let other = TcpStream::connect(backend(1)).await.unwrap();
    let other_local = other.local_addr().unwrap();
    let cookie = KernelSocket::between(other_local, backend(1)).unwrap().cookie;
    assert_eq!(remote.close(&order(other_local, backend(1), cookie)).await, Outcome::Closed);
    drop(listener);
    assert_eq!(close().await, Outcome::Refused(Refusal::NoListener));
    assert!(socket.is_alive().unwrap());
}
