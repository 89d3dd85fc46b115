//! Backends get no more connections than they may have, through all replicas together.

use anyhow::{Context, ensure};
use ilb_testbed::{Connection, eventually};

use crate::replicas::{Replica, Replicas, alone, totals};

/// Starts replicas before two backends, of which each may have three connections.
async fn limited(replicas: u8) -> Replicas {
    let mut this = Replicas::new(2).await;
    this.settings = &[("ILB_MAX_CONNECTIONS", "3")];
    let numbers: Vec<u8> = (0..replicas).collect();
    this.list_siblings(&numbers).await;
    for number in numbers {
        this.add(number, "ilb-siblings").await;
    }
    this.wait_until_ready_and_hearing(usize::from(replicas) - 1).await;
    this
}

/// Opens connections one by one, of which each is counted before the next.
async fn connect(replica: &Replica, count: u64, open: &mut Vec<Connection>) {
    for number in 1..=count {
        replica.connect(1, open).await;
        replica.wait_until_counted(number).await;
    }
}

/// Waits until a replica knows all connections, and leads new ones to the backends with less than three, and to no other.
async fn wait_until_free_places_are_planned(replica: &Replica, open: &[Connection]) {
    let totals = totals(open);
    eventually("new connections are led to the free places", async || {
        let status = replica.admin.status().await?;
        for backend in status["pools"][0]["backends"].as_array().context("no backends")? {
            let address = backend["address"].as_str().context("no address")?.parse()?;
            let total = totals.get(&address).copied().unwrap_or_default();
            let is_planned = backend["weights"].as_array().is_some_and(|weights| !weights.is_empty());
            ensure!(backend["total"] == total && is_planned == (total < 3), "{backend} where there are {total}");
        }
        Ok(())
    })
    .await
    .unwrap();
}

async fn wait_until_full(replica: &Replica) {
    eventually("new connections are closed at once", async || {
        let status = replica.admin.status().await?;
        ensure!(status["pools"][0]["limit"]["full"] == true, "{}", status["pools"][0]["limit"]);
        ensure!(replica.try_connect().await.is_err(), "it still takes connections");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_pool_that_is_full_refuses_connections_until_one_has_ended() {
    if !alone("limit::a_pool_that_is_full_refuses_connections_until_one_has_ended") {
        return;
    }
    let replicas = limited(1).await;
    let (replica, mut open) = (&replicas.all[0], Vec::new());
    connect(replica, 6, &mut open).await;
    wait_until_full(replica).await;
    replicas.assert_ready().await;
    let before = open.pop().unwrap();
    let freed = before.backend();
    drop(before);
    let next = eventually("there is room again", async || replica.try_connect().await).await.unwrap();
    assert_eq!(next.backend(), freed, "it goes where there is room");
    for connection in &mut open {
        connection.check_alive().await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn the_connections_of_all_replicas_together_are_limited() {
    if !alone("limit::the_connections_of_all_replicas_together_are_limited") {
        return;
    }
    let replicas = limited(2).await;
    let [first, second] = &replicas.all[..] else { panic!("two replicas") };
    let mut open = Vec::new();
    connect(first, 4, &mut open).await;
    for number in 1..=2 {
        // Of two free places, each replica has its part. Once it is taken, it waits until the other one has counted again.
        wait_until_free_places_are_planned(second, &open).await;
        open.push(second.try_connect().await.unwrap());
        second.wait_until_counted(number).await;
    }
    assert!(totals(&open).values().eq(&[3, 3]), "{:?}", totals(&open));
    wait_until_full(first).await;
    wait_until_full(second).await;
    replicas.assert_ready().await;
}
