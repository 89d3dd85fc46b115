//! The connections of all replicas together are level, although those of each are not.

use serde_json::Value;

use crate::replicas::{Replicas, alone, backend, totals};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_replica_fills_the_backends_that_its_sibling_left_empty() {
    if !alone("totals::a_replica_fills_the_backends_that_its_sibling_left_empty") {
        return;
    }
    let mut replicas = Replicas::start(2, 2).await;
    let mut open = Vec::new();
    replicas.all[0].connect(6, &mut open).await;
    replicas.all[0].wait_until_counted(6).await;
    replicas.list_backends(6).await;
    // The second replica has no connection, so that alone it would give each backend the same.
    let second = &replicas.all[1];
    second.wait_for_head_starts(&[0, 0, 2, 2, 2, 2]).await;
    second.connect(8, &mut open).await;
    let expected = [3, 3, 2, 2, 2, 2];
    assert!(totals(&open).values().eq(&expected), "{:?}", totals(&open));
    // The sibling has counted again, and does not place any.
    second.wait_until_counted(8).await;
    second.wait_for_head_starts(&[0, 0, 1, 1, 1, 1]).await;
    second.connect(4, &mut open).await;
    assert!(totals(&open).values().all(|connections| *connections == 3), "{:?}", totals(&open));
    replicas.assert_ready().await;
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn few_long_connections_of_three_replicas_are_level() {
    if !alone("totals::few_long_connections_of_three_replicas_are_level") {
        return;
    }
    let replicas = Replicas::start(3, 4).await;
    let mut open = Vec::new();
    // One connection after the other, each at another replica. Alone, each of them would begin with the same backends.
    for turn in 0..12 {
        let at = turn % 3;
        replicas.all[at].connect(1, &mut open).await;
        replicas.all[at].wait_until_counted(turn as u64 / 3 + 1).await;
        for replica in &replicas.all {
            replica.wait_for_lowest(4, &open).await;
        }
    }
    assert!(totals(&open).values().eq(&[3, 3, 3, 3]), "{:?}", totals(&open));
    replicas.assert_ready().await;
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn what_a_replica_tells_its_siblings_is_what_it_carries() {
    if !alone("totals::what_a_replica_tells_its_siblings_is_what_it_carries") {
        return;
    }
    let replicas = Replicas::start(1, 2).await;
    let mut open = Vec::new();
    let replica = &replicas.all[0];
    replica.connect(4, &mut open).await;
    replica.wait_until_counted(4).await;
    let (status, text) = replica.admin.get("/siblings").await.unwrap();
    assert_eq!(status, 200, "{text}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(answer["v"], 1, "{answer}");
    let connections = &answer["pools"]["default"]["connections"];
    let of = |number| connections[backend(number).to_string()].as_u64();
    assert_eq!((of(1), of(2)), (Some(2), Some(2)), "{answer}");
    let shown = replica.ilb.ask(&["status"]).await.unwrap().stdout;
    assert!(shown.contains("None: balancing alone"), "{shown}");
}
