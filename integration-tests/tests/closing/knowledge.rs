//! Nothing is closed while the backends may be out of date, nor until Traefik has been seen for a while.

use ilb_testbed::{ApiServer, eventually};

use crate::{
    cluster::{Cluster, alone_with_hosts, rebalance},
    crowd::{AfterEnd, Crowd},
};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn nothing_is_closed_while_the_api_server_or_traefik_is_away() {
    if !alone_with_hosts("knowledge::nothing_is_closed_while_the_api_server_or_traefik_is_away") {
        return;
    }
    let api_server = ApiServer::start().await.unwrap();
    let mut cluster = Cluster::on(api_server, "1000", 2, &rebalance("5")).await;
    let entry = cluster.world.traefik.entry_point();
    let crowd = Crowd::connect(entry, AfterEnd::Reconnect, 120).await;
    for index in 2..4 {
        cluster.add_pod(index).await;
    }
    crowd.wait_for_ends(5).await;
    cluster.world.api_server.kill().unwrap();
    cluster.wait_for_log("the backends may be out of date").await;
    cluster.world.landed_on(100).await.unwrap(); // the last order is done, and logged
    let closed = cluster.closed();
    assert!(closed < 40, "{closed} of 60: too late to show anything");
    cluster.world.landed_on(1_000).await.unwrap();
    assert_eq!(cluster.closed(), closed, "closed on stale knowledge");
    cluster.world.api_server.restart().await.unwrap();
    crowd.wait_for_ends(closed + 5).await;

    // A Traefik that was killed takes all connections with it. What comes back is spread evenly, so nothing is left to do.
    cluster.world.traefik.kill().unwrap();
    let closed = cluster.closed();
    cluster.world.traefik.restart().await.unwrap();
    eventually("all clients are back", async || {
        anyhow::ensure!(crowd.connected() == crowd.len(), "{} are", crowd.connected());
        Ok(())
    })
    .await
    .unwrap();
    cluster.world.landed_on(500).await.unwrap();
    assert_eq!(cluster.closed(), closed, "the new ones are level");
}
