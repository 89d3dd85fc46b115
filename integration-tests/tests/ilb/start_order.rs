//! ilb waits for Traefik and the API server, whichever starts later, and logs each change of state once.

use ilb_testbed::{ApiServer, LogLine, Traefik, World};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_traefik_that_is_down_at_the_start_is_configured_when_it_comes() {
    let (api_server, mut traefik) = (ApiServer::shared().await.unwrap(), Traefik::start().await.unwrap());
    traefik.kill().unwrap();
    let pods = api_server.new_namespace("backends").await.unwrap();
    let mut world = World::from_parts(api_server, pods, traefik, &[]).unwrap();
    world.add_pod(0).await.unwrap();

    world.ilb.wait_for_log("Waiting for Traefik").await.unwrap();
    world.traefik.restart().await.unwrap();
    world.wait_until_in_force(1).await.unwrap();
    assert_eq!(world.landed_on(2).await.unwrap(), [world.address(0)].into());
    assert_eq!(world.ilb.logged("Waiting for Traefik").unwrap().len(), 1);
    assert!(world.ilb.logged("Failed to update").unwrap().is_empty(), "a Traefik that starts later is no fault");
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_traefik_that_does_not_come_is_a_fault() {
    let (api_server, mut traefik) = (ApiServer::shared().await.unwrap(), Traefik::start().await.unwrap());
    traefik.kill().unwrap();
    let pods = api_server.new_namespace("backends").await.unwrap();
    let mut world = World::from_parts(api_server, pods, traefik, &[]).unwrap();
    world.add_pod(0).await.unwrap();

    world.ilb.wait_for_log("Failed to update").await.unwrap();
    world.traefik.restart().await.unwrap();
    world.wait_until_in_force(1).await.unwrap();
    logged_once_per_state(&world.ilb.logged("Failed to update").unwrap());
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn an_api_server_that_is_down_at_the_start_is_followed_when_it_comes() {
    let (mut api_server, traefik) = (ApiServer::start().await.unwrap(), Traefik::start().await.unwrap());
    let pods = api_server.namespace("backends").await.unwrap();
    api_server.kill().unwrap();
    let mut world = World::from_parts(api_server, pods, traefik, &[]).unwrap();

    world.ilb.wait_for_log("Discovery is stale: backends that it cannot see stay as seen last").await.unwrap();
    assert!(world.ilb.logged("Updated").unwrap().is_empty(), "an unknown set of backends is not an empty one");
    world.api_server.restart().await.unwrap();
    world.add_pod(0).await.unwrap();
    world.wait_until_in_force(1).await.unwrap();
    logged_once_per_state(
        &world.ilb.logged("Discovery is stale: backends that it cannot see stay as seen last").unwrap(),
    );
}

/// Checks that no line repeats the state of the one before it.
fn logged_once_per_state(lines: &[LogLine]) {
    assert!(lines.windows(2).all(|pair| pair[0]["kind"] != pair[1]["kind"]), "{lines:#?}");
}
