//! Promises of listing halves, on real connections.

use std::net::IpAddr;

use rstest::rstest;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;
use crate::socket::Pair;

/// An entry point of its own, which listens at `ip`.
async fn entry(ip: &str) -> (TcpListener, BTreeSet<u16>) {
    let listener = TcpListener::bind((ip.parse::<IpAddr>().unwrap(), 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, [port].into())
}

/// Opens a connection to the entry point at `ip`, and returns the client's end and the proxy's.
async fn connect(listener: &TcpListener, ip: &str) -> (TcpStream, TcpStream) {
    let address = (ip.parse::<IpAddr>().unwrap(), listener.local_addr().unwrap().port());
    let (client, proxy) = tokio::join!(TcpStream::connect(address), listener.accept());
    (client.unwrap(), proxy.unwrap().0)
}

/// Lists halves until there are this many: the kernel acknowledges the end of a connection when it likes.
async fn listed(source: &KernelHalves, ports: &BTreeSet<u16>, number: usize) -> Vec<Half> {
    let listing = async {
        loop {
            let halves = source.halves(ports).await.unwrap();
            if halves.len() == number {
                return halves;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), listing).await.unwrap()
}

#[rstest]
#[case::ipv4("127.0.0.1", "127.0.0.1")]
#[case::ipv6("::1", "::1")]
#[case::ipv4_at_an_ipv6_listener("::", "127.0.0.1")]
#[tokio::test]
async fn only_what_the_proxy_has_ended_and_its_client_has_not_is_a_half(#[case] listen_at: &str, #[case] ip: &str) {
    let (listener, ports) = entry(listen_at).await;
    let (mut client, mut half) = connect(&listener, ip).await;
    // Until the kernel's clock has gone on, so that the moments of opening and ending differ.
    let opened = Instant::now();
    while opened.elapsed() < 2 * TICK {
        tokio::task::yield_now().await;
    }
    let (mut other, whole) = connect(&listener, ip).await;
    let source = KernelHalves::default();
    assert_eq!(source.halves(&ports).await.unwrap(), [], "both are whole");

    let before = Instant::now();
    half.shutdown().await.unwrap();
    assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
    other.shutdown().await.unwrap();
    let halves = listed(&source, &ports, 1).await;
    let [found] = halves.as_slice() else { panic!("{halves:?}") };
    let client_address = client.local_addr().unwrap();
    assert_eq!((found.local.port(), found.client), (*ports.first().unwrap(), client_address));
    assert_eq!(found.local.ip(), ip.parse::<IpAddr>().unwrap(), "in the form of its family");
    assert!(found.since.unwrap() >= before && found.since.unwrap() <= Instant::now() + TICK, "it is a half since then");

    let (pair, mut looked_up) = (Pair { local: found.local, remote: found.client }, Vec::new());
    Netlink::open().unwrap().look_up(&[pair], &mut looked_up).unwrap();
    assert_eq!(looked_up[0].map(|socket| socket.identity), Some(found.cookie), "a closer finds it by its addresses");

    assert_eq!(source.halves(&[1].into()).await.unwrap(), [], "at another port");
    client.write_all(b"still here").await.unwrap();
    half.read_exact(&mut [0; 10]).await.unwrap();
    let active = listed(&source, &ports, 1).await[0];
    assert_eq!((active.cookie, active.since), (found.cookie, None), "it may have become a half at any time");
    drop(client);
    listed(&source, &ports, 0).await;
    drop(whole);
}

#[tokio::test]
async fn a_half_that_no_process_holds_is_left_to_the_kernel() {
    let (listener, ports) = entry("127.0.0.1").await;
    let (_client, mut half) = connect(&listener, "127.0.0.1").await;
    let source = KernelHalves::default();
    half.shutdown().await.unwrap();
    listed(&source, &ports, 1).await;
    drop(half);
    assert_eq!(source.halves(&ports).await.unwrap(), []);
}
