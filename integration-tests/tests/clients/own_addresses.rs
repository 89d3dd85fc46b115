//! A selector that also matches the balancer's own pod does not make Traefik connect to itself.

use anyhow::ensure;
use ilb_testbed::{ApiServer, ROUND_ROBIN, Readiness, World, add_address, alone_in_a_network, eventually, pod_ip};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn an_own_address_is_never_a_backend_and_that_is_logged_once() {
    if !alone_in_a_network("own_addresses::an_own_address_is_never_a_backend_and_that_is_logged_once").unwrap() {
        return;
    }
    let own = pod_ip(7);
    add_address(own).unwrap();
    let api_server = ApiServer::start().await.unwrap();
    let world = World::on(api_server, 1, &[ROUND_ROBIN]).await.unwrap();
    world.pods.create_ready("balancer", own).await.unwrap();
    let warning = format!("refused {own}:4444: an address of this network namespace cannot be a backend");
    let line = world.ilb.wait_for_log(&warning).await.unwrap();
    assert_eq!(line["object"], "balancer", "{line}");

    // A change that is in force after the one above.
    world.set_pod(0, Readiness::NotReady).await.unwrap();
    world.wait_until_in_force(0).await.unwrap();
    world.set_pod(0, Readiness::Ready).await.unwrap();
    world.wait_until_in_force(1).await.unwrap();
    eventually("the only backend has the connections", async || {
        ensure!(world.landed_on(5).await? == [world.address(0)].into(), "they went elsewhere");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(world.ilb.logged(&warning).unwrap().len(), 1);
}
