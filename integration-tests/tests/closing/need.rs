//! Nothing is closed without need.

use ilb_testbed::World;

use crate::{
    cluster::{Cluster, alone_with_hosts, rebalance},
    crowd::{AfterEnd, Crowd},
};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn level_backends_churn_and_a_scale_in_close_nothing() {
    if !alone_with_hosts("need::level_backends_churn_and_a_scale_in_close_nothing") {
        return;
    }
    let mut cluster = Cluster::start(8, &rebalance("50")).await;
    let crowd = Crowd::connect(cluster.world.traefik.entry_point(), AfterEnd::Reconnect, 160).await;
    // Connections come and go while those of the crowd stay.
    cluster.world.landed_on(600).await.unwrap();
    // Seven backends leave, and keep theirs. The last one is left alone with what comes.
    for index in 1..8 {
        cluster.world.pods.remove(&World::pod(index)).await.unwrap();
    }
    cluster.world.wait_until_in_force(1).await.unwrap();
    let late = Crowd::connect(cluster.world.traefik.entry_point(), AfterEnd::Reconnect, 20).await;
    cluster.world.landed_on(200).await.unwrap();
    assert!(crowd.ends().is_empty() && late.ends().is_empty(), "{:?} {:?}", crowd.ends(), late.ends());
    assert_eq!(cluster.closed(), 0);
    // It is not for want of a closer: what comes next is levelled, by as few closings as will do.
    cluster.add_pod(8).await;
    cluster.wait_for_log("connections closed in").await;
    cluster.world.landed_on(400).await.unwrap();
    let moved = crowd.ends().len() + late.ends().len();
    assert_eq!(cluster.closed(), moved);
    let on_first = crowd.counts()[&cluster.world.address(0)] + late.counts()[&cluster.world.address(0)];
    assert!((18..=21).contains(&moved) && (19..=22).contains(&on_first), "{moved} moved, {on_first} are left");
}
