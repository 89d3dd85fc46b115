//! A client that has shut down its sending side still receives its answer, however long that takes.

use std::time::Duration;

use ilb_testbed::{Behaviour, World};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn an_answer_that_takes_two_seconds_reaches_a_client_that_has_ended_its_request() {
    let mut world = World::start(0).await.unwrap();
    world.add_backend(0, Behaviour::AnswerAfterEnd(Duration::from_secs(2))).await.unwrap();
    world.pods.create_ready(&World::pod(0), world.address(0).ip()).await.unwrap();
    world.wait_until_in_force(1).await.unwrap();

    let connection = world.traefik.connect().await.unwrap();
    assert_eq!(connection.end_and_read().await.unwrap(), "done\n");
}
