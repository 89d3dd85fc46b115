//! A pool without backends is a state, not an error: connections are closed at once, and the next pod is used.

use std::net::SocketAddr;

use anyhow::ensure;
use ilb_testbed::{Traefik, World, eventually};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn without_a_backend_connections_are_closed_and_ilb_goes_on() {
    let mut world = World::start(0).await.unwrap();
    for _ in 0..2 {
        let answer = all_that_a_client_gets(world.traefik.entry_point()).await.unwrap();
        assert_eq!(answer, b"", "the connection is closed without an answer");
        world.ilb.check_running().unwrap();
        let shown = world.ilb.ask(&["status"]).await.unwrap();
        assert_eq!(shown.code, Some(4), "it is ready, and clients are hurt: {}", shown.stdout);
        assert!(shown.stdout.starts_with("degraded: pool default: no backend is ready"), "{}", shown.stdout);
        assert_eq!(world.ilb.ask(&["status", "--allow-degraded"]).await.unwrap().code, Some(0));

        world.add_pod(0).await.unwrap();
        world.wait_until_in_force(1).await.unwrap();
        assert_eq!(world.landed_on(2).await.unwrap(), [world.address(0)].into());

        world.pods.remove(&World::pod(0)).await.unwrap();
        world.wait_until_in_force(0).await.unwrap();
        world.backends.clear();
    }
    let logged = world.ilb.logged("No pod is ready: new connections are closed at once until one is").unwrap();
    assert_eq!(logged.len(), 3, "once for each time that the last pod was lost");
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn before_the_first_push_connections_are_closed_and_no_client_is_answered_in_http() {
    let traefik = Traefik::start().await.unwrap();
    eventually("the bootstrap file is in force", async || {
        let router = traefik.api("tcp/routers/bootstrap@file").await?;
        ensure!(router["status"] == "enabled", "{router}");
        Ok(())
    })
    .await
    .unwrap();
    let answer = all_that_a_client_gets(traefik.entry_point()).await.unwrap();
    assert_eq!(answer, b"", "{}", String::from_utf8_lossy(&answer));
}

/// Sends a request in HTTP, and reads to the end of the connection, which may be a reset.
async fn all_that_a_client_gets(entry_point: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(entry_point).await?;
    let _ = stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    Ok(answer)
}
