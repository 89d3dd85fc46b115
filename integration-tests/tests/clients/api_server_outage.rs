//! An outage of the API server changes nothing for clients; after it, changes are followed again.

use std::time::Duration;

use ilb_testbed::{ApiServer, ROUND_ROBIN, World};
use tokio::time::{Instant, sleep};

const OUTAGE: Duration = Duration::from_secs(10);

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn an_outage_of_the_api_server_cuts_nothing_and_changes_nothing() {
    let mut world = World::on(ApiServer::start().await.unwrap(), 3, &[ROUND_ROBIN]).await.unwrap();
    let mut connections = world.connect_to_each(3).await.unwrap();
    let before = world.traefik.reloads().await.unwrap();

    world.api_server.kill().unwrap();
    let killed = Instant::now();
    while killed.elapsed() < OUTAGE {
        for connection in &mut connections {
            connection.check_alive().await.unwrap();
        }
        world.traefik.connect().await.unwrap();
        sleep(Duration::from_millis(100)).await; // the pace of the traffic
    }
    world.ilb.check_running().unwrap();
    assert_eq!(world.ilb.logged("Discovery is stale: backends that it cannot see stay as seen last").unwrap().len(), 1);
    world.api_server.restart().await.unwrap();

    world.pods.delete(&World::pod(1)).await.unwrap();
    world.wait_until_in_force(2).await.unwrap();
    assert_eq!(world.landed_on(8).await.unwrap(), [world.address(0), world.address(2)].into());
    assert_eq!(world.traefik.reloads().await.unwrap() - before, 1, "only the change after the outage was pushed");
    for connection in &mut connections {
        connection.check_alive().await.unwrap();
    }
}
