//! Connections that are too old are closed, none before its time, and none while it is asked.

use std::time::Duration;

use ilb_testbed::eventually;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::{
    cluster::{Cluster, alone_with_hosts},
    crowd::{AfterEnd, Crowd},
};

/// No more than may be away at a time before some have proved to come back.
const CLIENTS: usize = 20;
const MAX_AGE: Duration = Duration::from_secs(5);

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn old_connections_are_closed_by_and_by_and_none_that_is_younger_or_asked() {
    if !alone_with_hosts("age::old_connections_are_closed_by_and_by_and_none_that_is_younger_or_asked") {
        return;
    }
    let settings = [
        ("ILB_CLOSING_MAX_AGE", "5s"),
        ("ILB_CLOSING_AGE_JITTER", "20%"),
        ("ILB_CLOSING_AGE_QUIET", "100ms"),
        ("ILB_CLOSING_AGE_MAX_RATE", "500"),
    ];
    let cluster = Cluster::start(4, &settings).await;
    let entry = cluster.world.traefik.entry_point();
    // One that has asked, and waits for the answer, because the server has half of the request.
    let mut asking = BufReader::new(TcpStream::connect(entry).await.unwrap());
    let mut line = String::new();
    asking.read_line(&mut line).await.unwrap();
    asking.write_all(b"half ").await.unwrap();
    let crowd = Crowd::connect(entry, AfterEnd::Reconnect, CLIENTS).await;

    let ends = crowd.wait_for_ends(2 * CLIENTS).await;
    let ages: Vec<Duration> = ends.iter().map(|end| end.ended - end.began).collect();
    let (youngest, oldest) = (ages.iter().min().unwrap(), ages.iter().max().unwrap());
    println!("{} closed at ages from {youngest:?} to {oldest:?}", ages.len());
    assert!(*youngest >= MAX_AGE, "{youngest:?}");
    let early = ages.iter().filter(|age| **age < MAX_AGE + MAX_AGE / 10).count();
    assert!((CLIENTS / 5..=2 * CLIENTS - CLIENTS / 5).contains(&early), "{early} in the first half: not spread");
    for client in 0..CLIENTS {
        assert!(ends.iter().any(|end| end.client == client), "client {client} kept a connection twice as long");
    }
    // Twice the age has passed, and it is still there. Once it is answered, its time has come.
    asking.write_all(b"done\n").await.unwrap();
    line.clear();
    asking.read_line(&mut line).await.unwrap();
    assert_eq!(line, "half done\n");
    line.clear();
    assert_eq!(asking.read_line(&mut line).await.unwrap(), 0);
    let ends = crowd.ends().len();
    eventually("the closer has closed all that ended", async || {
        let closed = cluster.closed();
        anyhow::ensure!(closed > ends, "{closed} closed, {ends} and one more have ended");
        Ok(())
    })
    .await
    .unwrap();
}
