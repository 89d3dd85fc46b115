//! Clients that do not come back after a closing end the closings of their pool.

use crate::{
    cluster::{Cluster, alone_with_hosts, rebalance},
    crowd::{AfterEnd, Crowd},
};

/// Number of closings after which it is looked at who came back.
const TRUSTED: usize = 20;

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn no_more_than_20_clients_are_lost_if_they_do_not_come_back() {
    if !alone_with_hosts("returns::no_more_than_20_clients_are_lost_if_they_do_not_come_back") {
        return;
    }
    let mut cluster = Cluster::start(2, &rebalance("50")).await;
    let crowd = Crowd::connect(cluster.world.traefik.entry_point(), AfterEnd::StayAway, 160).await;
    for index in 2..4 {
        cluster.add_pod(index).await;
    }
    cluster.wait_for_log("too few clients came back").await; // half a minute
    let ends = crowd.ends();
    assert_eq!((ends.len(), cluster.closed()), (TRUSTED, TRUSTED), "80 had to move");
    // Nobody else is closed, although the backends are still far from level.
    cluster.world.landed_on(200).await.unwrap();
    assert_eq!(crowd.connected(), 160 - TRUSTED);
    assert_eq!(crowd.counts().get(&cluster.world.address(3)), None);
    assert!(crowd.counts()[&cluster.world.address(0)] > 60, "{:?}", crowd.counts());
}
