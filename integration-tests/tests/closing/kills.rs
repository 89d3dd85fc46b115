//! The end of ilb or of the closer in the middle of a run hurts no connection, and the rest is closed later.

use ilb_testbed::eventually;

use crate::{
    cluster::{Cluster, alone_with_hosts, rebalance},
    crowd::{AfterEnd, Crowd},
};

/// Starts two backends with 120 clients, adds two more, and returns when some of the 60 closings have taken place.
async fn in_the_middle_of_a_run() -> (Cluster, Crowd) {
    let mut cluster = Cluster::start(2, &rebalance("10")).await;
    let crowd = Crowd::connect(cluster.world.traefik.entry_point(), AfterEnd::Reconnect, 120).await;
    for index in 2..4 {
        cluster.add_pod(index).await;
    }
    crowd.wait_for_ends(10).await;
    (cluster, crowd)
}

/// Waits until all clients are connected.
async fn all_are_connected(crowd: &Crowd) {
    eventually("all clients are connected", async || {
        anyhow::ensure!(crowd.connected() == crowd.len(), "{} are", crowd.connected());
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_killed_ilb_closes_nothing_and_goes_on_after_its_restart() {
    if !alone_with_hosts("kills::a_killed_ilb_closes_nothing_and_goes_on_after_its_restart") {
        return;
    }
    let (mut cluster, crowd) = in_the_middle_of_a_run().await;
    cluster.world.ilb.kill().unwrap();
    all_are_connected(&crowd).await;
    let ended = crowd.ends().len();
    assert!((10..50).contains(&ended), "{ended}");
    cluster.world.landed_on(500).await.unwrap();
    assert_eq!((cluster.closed(), crowd.ends().len()), (ended, ended), "nothing ended while ilb was dead");
    cluster.world.ilb.start_again().unwrap();
    eventually("the backends are level", async || {
        let counts = crowd.counts();
        anyhow::ensure!(counts.len() == 4 && counts.values().all(|count| (27..=33).contains(count)), "{counts:?}");
        Ok(())
    })
    .await
    .unwrap();
    cluster.wait_for_log("connections closed in").await;
    assert!(crowd.ends().len() <= 63, "{} closings, and 60 would do", crowd.ends().len());
    assert_eq!(cluster.closed(), crowd.ends().len());
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_killed_closer_closes_nothing_and_hurts_nobody() {
    if !alone_with_hosts("kills::a_killed_closer_closes_nothing_and_hurts_nobody") {
        return;
    }
    let (mut cluster, crowd) = in_the_middle_of_a_run().await;
    cluster.closer.kill().unwrap();
    all_are_connected(&crowd).await;
    // The end of the log of a killed closer may be lost, so the clients count.
    let ended = crowd.ends().len();
    // A pause of a minute, which begins again with each failure, and until then nothing.
    cluster.wait_for_log("No connection is closed for the next").await;
    cluster.world.landed_on(500).await.unwrap();
    assert_eq!(crowd.ends().len(), ended);
    cluster.closer.start_again().unwrap();
    eventually("ilb has found the closer again", async || {
        let able = cluster.world.ilb.logged("The closer can close connections")?.len();
        anyhow::ensure!(able == 2, "logged {able} times");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(crowd.ends().len(), ended, "the pause goes on");
}
