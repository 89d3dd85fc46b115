//! A backend that leaves the selector is left at once, and one that leaves in any other way is not.

use std::{collections::BTreeMap, time::Duration};

use ilb_testbed::{Readiness, Void, World, eventually};
use tokio::time::Instant;

use crate::{
    cluster::{Cluster, alone_with_hosts},
    crowd::{AfterEnd, Crowd},
};

const CLOSE: (&str, &str) = ("ILB_CLOSING_ON_SELECTOR_LEFT", "close");
/// Time within which the connections of a backend that left are closed, from the event on: 200 ms in which it may come back,
/// and a turn.
const AT_ONCE: Duration = Duration::from_millis(500);

/// Takes the label away by which the selector finds a pod.
async fn move_label(cluster: &Cluster, index: u16) {
    let label = BTreeMap::from([("app", Some("something-else"))]);
    cluster.world.pods.label(&World::pod(index), label).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_backend_that_left_the_selector_is_left_at_once_even_if_it_is_unreachable() {
    if !alone_with_hosts("role::a_backend_that_left_the_selector_is_left_at_once_even_if_it_is_unreachable") {
        return;
    }
    let cluster = Cluster::start(3, &[CLOSE]).await;
    let crowd = Crowd::connect(cluster.world.traefik.entry_point(), AfterEnd::Reconnect, 60).await;
    let void = Void::new().unwrap();
    for (index, is_reachable) in [(0, true), (1, false)] {
        let address = cluster.world.address(index);
        let before = crowd.ends().len();
        let held = crowd.counts()[&address];
        assert!(held >= 10, "{:?}", crowd.counts());
        if !is_reachable {
            void.swallow([address.ip()]).unwrap();
        }
        move_label(&cluster, index).await;
        let begun = Instant::now();
        let ends = crowd.wait_for_ends(before + held).await;
        let last = ends.last().unwrap().ended.duration_since(begun);
        println!("reachable: {is_reachable}, {held} connections ended within {last:?}");
        assert!(ends[before..].iter().all(|end| end.backend == address), "{ends:?}");
        assert!(last <= AT_ONCE + Duration::from_secs(1), "{last:?}");
        eventually("all clients are elsewhere", async || {
            let counts = crowd.counts();
            anyhow::ensure!(
                counts.values().sum::<usize>() == crowd.len() && !counts.contains_key(&address),
                "{counts:?}"
            );
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(crowd.ends().len(), before + held, "no other connection has ended");
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_backend_that_left_in_another_way_keeps_its_connections() {
    if !alone_with_hosts("role::a_backend_that_left_in_another_way_keeps_its_connections") {
        return;
    }
    let cluster = Cluster::start(5, &[CLOSE]).await;
    let world = &cluster.world;
    let crowd = Crowd::connect(world.traefik.entry_point(), AfterEnd::Reconnect, 50).await;
    let pods = &world.pods;
    // Deleted with a grace period, and gone at its end; deleted at once; not ready.
    pods.delete(&World::pod(0)).await.unwrap();
    world.wait_until_in_force(4).await.unwrap();
    pods.remove(&World::pod(0)).await.unwrap();
    pods.remove(&World::pod(1)).await.unwrap();
    world.wait_until_in_force(3).await.unwrap();
    world.set_pod(2, Readiness::NotReady).await.unwrap();
    world.wait_until_in_force(2).await.unwrap();
    // The label of the next one moves. Once that is closed, the others would have been closed as well.
    let address = world.address(3);
    let held = crowd.counts()[&address];
    move_label(&cluster, 3).await;
    crowd.wait_for_ends(held).await;
    cluster.wait_for_log("connections closed in").await;
    let ends = crowd.ends();
    assert!(ends.len() == held && ends.iter().all(|end| end.backend == address), "{ends:?}");
    assert_eq!(cluster.closed(), held);
}
