//! A killed Traefik comes back empty, and ilb configures it again.

use std::time::{Duration, Instant};

use ilb_testbed::{Connection, World, eventually};
use tokio::time::timeout;

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_killed_traefik_routes_again_after_it_has_come_back_empty() {
    let mut world = World::start(3).await.unwrap();
    for _ in 0..3 {
        world.traefik.kill().unwrap();
        world.traefik.restart().await.unwrap(); // returns as soon as its port listens
        let listening = Instant::now();
        let connection = eventually("Traefik routes again", async || first_answer(&world).await).await.unwrap();
        println!("routed to {} {:?} after the port listened", connection.backend(), listening.elapsed());
        world.wait_until_in_force(3).await.unwrap();
    }
    world.ilb.check_running().unwrap();
}

/// Connects without waiting: Traefik listens before it has any route, and holds the clients of that moment for a while.
async fn first_answer(world: &World) -> anyhow::Result<Connection> {
    timeout(Duration::from_millis(50), world.traefik.connect()).await?
}
