//! A backend that discovery calls ready and that takes no connections has the fewest, and yet gets no new ones until it
//! answers again.

use ilb_testbed::{Backend, Behaviour, Crowd, World};
use tokio::net::{TcpSocket, TcpStream};

/// Connects again and again, whether a backend answers or not, until ilb has left out one of `backends` backends.
async fn connect_until_one_is_left_out(world: &World, backends: usize) -> anyhow::Result<()> {
    let clients = async {
        let mut crowd = Crowd::default();
        loop {
            let _ = tokio::time::timeout(std::time::Duration::from_millis(50), crowd.join(&world.traefik)).await;
        }
    };
    tokio::select! {
        () = clients => Ok(()),
        left_out = world.wait_until_in_force(backends - 1) => left_out,
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_backend_that_refuses_gets_no_new_connection_until_it_answers_again() {
    let mut world = World::start(4).await.unwrap();
    let mut crowd = Crowd::default();
    for _ in 0..40 {
        crowd.join(&world.traefik).await.unwrap();
    }
    drop(world.backends.remove(1));
    crowd.leave(world.address(1), 0);
    connect_until_one_is_left_out(&world, 4).await.unwrap();
    for _ in 0..30 {
        assert_ne!(crowd.join(&world.traefik).await.unwrap(), world.address(1));
    }
    world.backends.push(Backend::start(world.address(1), Behaviour::Echo).await.unwrap());
    world.wait_until_in_force(4).await.unwrap();
    let mut landed = false;
    for _ in 0..30 {
        landed |= crowd.join(&world.traefik).await.unwrap() == world.address(1);
    }
    assert!(landed, "the backend that is back has the fewest connections");
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_backend_that_has_refused_from_the_beginning_gets_no_new_connection() {
    let world = World::start(3).await.unwrap();
    world.pods.create_ready("pod-9", world.address(9).ip()).await.unwrap();
    world.wait_until_in_force(4).await.unwrap();
    connect_until_one_is_left_out(&world, 4).await.unwrap();
    for _ in 0..30 {
        world.traefik.connect().await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_backend_that_swallows_packets_gets_no_new_connection() {
    let world = World::start(3).await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(world.address(9)).unwrap();
    let _listener = socket.listen(1).unwrap();
    let mut filling = Vec::new();
    while let Ok(stream) =
        tokio::time::timeout(std::time::Duration::from_millis(300), TcpStream::connect(world.address(9))).await
    {
        filling.push(stream.unwrap());
    }
    world.pods.create_ready("pod-9", world.address(9).ip()).await.unwrap();
    world.wait_until_in_force(4).await.unwrap();
    connect_until_one_is_left_out(&world, 4).await.unwrap();
    for _ in 0..30 {
        world.traefik.connect().await.unwrap();
    }
}
