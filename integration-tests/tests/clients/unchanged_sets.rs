//! Events that do not change the set of backends cause no push: Traefik does not reload.

use ilb_testbed::{ApiServer, ROUND_ROBIN, Readiness, World, eventually};
use serde_json::json;

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn events_that_leave_the_set_as_it_is_cause_no_push() {
    let mut world = World::round_robin(3).await.unwrap();
    let before = world.traefik.reloads().await.unwrap();

    // An unchanged status, a change of an annotation, and another pod that takes over an address.
    world.set_pod(0, Readiness::Ready).await.unwrap();
    world.pods.patch(&World::pod(1), json!({"metadata": {"annotations": {"seen": "yes"}}})).await.unwrap();
    world.pods.create_ready("twin", world.address(2).ip()).await.unwrap();
    world.pods.remove(&World::pod(2)).await.unwrap();
    // A pod that does not serve yet is discovered, and not used.
    world.pods.create("pending").await.unwrap();
    world.pods.set_status("pending", world.address(9).ip(), Readiness::NotReady).await.unwrap();

    // Events arrive in order: when this one is in force, the ones before it have been handled.
    world.add_pod(3).await.unwrap();
    world.wait_until_in_force(4).await.unwrap();
    assert_eq!(world.traefik.reloads().await.unwrap() - before, 1);
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_relist_causes_no_push() {
    let mut world = World::on(ApiServer::start().await.unwrap(), 3, &[ROUND_ROBIN]).await.unwrap();
    let before = world.traefik.reloads().await.unwrap();

    // The history grows and is forgotten during an outage of the API server, so the watch cannot be resumed.
    world.pods.patch(&World::pod(1), json!({"metadata": {"annotations": {"seen": "yes"}}})).await.unwrap();
    world.api_server.kill().unwrap();
    world.api_server.compact().await.unwrap();
    world.api_server.restart().await.unwrap();
    eventually("ilb lists the pods again", async || {
        anyhow::ensure!(world.api_server.lists_of_pods().await? > 0, "not listed yet");
        Ok(())
    })
    .await
    .unwrap();

    world.add_pod(3).await.unwrap();
    world.wait_until_in_force(4).await.unwrap();
    assert_eq!(world.traefik.reloads().await.unwrap() - before, 1);
}
