//! A sibling that fails costs nothing but its counts: the others stay ready, and balance on.

use ilb_testbed::{Connection, Signal, eventually};

use crate::replicas::{Replicas, alone, totals};

/// Starts two replicas, of which the first has connections to two of four backends, and the second none.
async fn uneven() -> (Replicas, Vec<Connection>) {
    let mut replicas = Replicas::start(2, 2).await;
    let mut open = Vec::new();
    replicas.all[0].connect(6, &mut open).await;
    replicas.list_backends(4).await;
    replicas.all[1].wait_for_head_starts(&[0, 0, 2, 2]).await;
    (replicas, open)
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_sibling_that_is_killed_counts_no_longer_and_counts_again_after_its_restart() {
    if !alone("faults::a_sibling_that_is_killed_counts_no_longer_and_counts_again_after_its_restart") {
        return;
    }
    let (mut replicas, mut open) = uneven().await;
    replicas.all[0].ilb.kill().unwrap();
    let second = &replicas.all[1];
    let problem = second.wait_for_loss_of(0).await;
    assert!(problem.contains("cannot be reached"), "{problem}");
    second.wait_for_head_starts(&[0, 0, 0, 0]).await;
    assert!(second.admin.is_ok("/readyz").await.unwrap());
    assert_eq!(second.ilb.logged("A sibling does not answer: balancing without it until it does").unwrap().len(), 1);
    for connection in &mut open {
        connection.check_alive().await.unwrap();
    }
    replicas.all[0].ilb.start_again().unwrap();
    let second = &replicas.all[1];
    second.wait_until_hearing(1).await;
    second.wait_for_head_starts(&[0, 0, 2, 2]).await;
    let before = totals(&open);
    second.connect(4, &mut open).await;
    let after = totals(&open);
    assert!(before.iter().all(|(backend, connections)| after[backend] == *connections), "{before:?}, {after:?}");
    assert_eq!(after.len(), 4, "{after:?}");
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_sibling_that_is_frozen_counts_no_longer_and_counts_again_when_it_goes_on() {
    if !alone("faults::a_sibling_that_is_frozen_counts_no_longer_and_counts_again_when_it_goes_on") {
        return;
    }
    let (replicas, _open) = uneven().await;
    let [first, second] = &replicas.all[..] else { panic!("two replicas") };
    first.ilb.signal(Signal::STOP).unwrap();
    let problem = second.wait_for_loss_of(0).await;
    assert!(problem.contains("has not answered within"), "{problem}");
    second.wait_for_head_starts(&[0, 0, 0, 0]).await;
    assert!(second.admin.is_ok("/readyz").await.unwrap());
    first.ilb.signal(Signal::CONT).unwrap();
    second.wait_until_hearing(1).await;
    second.wait_for_head_starts(&[0, 0, 2, 2]).await;
    replicas.assert_ready().await;
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_sibling_that_is_no_longer_listed_counts_no_longer() {
    if !alone("faults::a_sibling_that_is_no_longer_listed_counts_no_longer") {
        return;
    }
    let (replicas, _open) = uneven().await;
    replicas.list_siblings(&[1]).await;
    let second = &replicas.all[1];
    second.wait_until_hearing(0).await;
    second.wait_for_head_starts(&[0, 0, 0, 0]).await;
    assert_eq!(second.ilb.logged("A sibling has left, or has restarted").unwrap().len(), 1);
    replicas.assert_ready().await;
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_replica_whose_traefik_drains_counts_and_is_heard_until_it_ends() {
    if !alone("faults::a_replica_whose_traefik_drains_counts_and_is_heard_until_it_ends") {
        return;
    }
    let (replicas, mut open) = uneven().await;
    let [first, second] = &replicas.all[..] else { panic!("two replicas") };
    first.drain_traefik().await;
    let before = first.sample().await.unwrap();
    // More samples than are kept, and than were under way.
    eventually("it goes on counting", async || {
        let sample = first.sample().await?;
        anyhow::ensure!(sample >= before + 5, "{sample} after {before}");
        Ok(())
    })
    .await
    .unwrap();
    for connection in &mut open {
        connection.check_alive().await.unwrap();
    }
    second.wait_until_hearing(1).await;
    second.wait_for_head_starts(&[0, 0, 2, 2]).await;
    let before = totals(&open);
    second.connect(4, &mut open).await;
    let after = totals(&open);
    assert!(before.iter().all(|(backend, connections)| after[backend] == *connections), "{before:?}, {after:?}");
    assert!(second.admin.is_ok("/readyz").await.unwrap());
}
