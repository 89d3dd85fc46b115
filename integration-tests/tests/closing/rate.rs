//! No more connections are closed in a second than the settings allow.

use std::collections::BTreeMap;

use crate::{
    cluster::{Cluster, alone_with_hosts, rebalance},
    crowd::{AfterEnd, Crowd},
};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_rebalance_never_closes_more_in_a_second_than_its_rate() {
    if !alone_with_hosts("rate::a_rebalance_never_closes_more_in_a_second_than_its_rate") {
        return;
    }
    // The closer judges it: it refuses what is faster than 11 a second, and a refusal ends the run for a minute.
    let mut cluster = Cluster::with_limit("11", 2, &rebalance("10")).await;
    let crowd = Crowd::connect(cluster.world.traefik.entry_point(), AfterEnd::Reconnect, 400).await;
    for index in 2..6 {
        cluster.add_pod(index).await;
    }
    let ends = crowd.wait_for_ends(100).await;
    let first = ends[0].ended;
    let mut by_second = BTreeMap::<u64, usize>::new();
    for end in &ends {
        *by_second.entry((end.ended - first).as_secs()).or_default() += 1;
    }
    println!("{by_second:?}");
    let refused = cluster.closer.log().unwrap().iter().filter(|line| !line["refusal"].is_null()).count();
    assert_eq!(refused, 0, "faster than 11 a second");
    assert!(by_second.len() >= 9, "100 closings take at least 9 seconds: {by_second:?}");
}
