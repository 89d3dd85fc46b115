//! What those who may close connections see of them.

use super::*;
use crate::connection::Answered;

#[tokio::test]
async fn the_last_to_send_data_is_seen() {
    let backend = Backend::alone();
    let counting = KernelConnections::start(Options::default()).await.unwrap();
    counting.sample(&backend.set()).await.unwrap();
    let (mut ours, mut theirs) = backend.connect().await;
    sampled_until(&counting, &backend, |load| load.established == 1).await;
    let see = async || {
        counting.sample(&backend.set()).await.unwrap();
        let connections = counting.connections(&backend.set()).await.unwrap();
        assert_eq!(connections.len(), 1);
        connections[0]
    };
    let new = see().await;
    assert_eq!((new.local, new.backend), (ours.local_addr().unwrap(), backend.address));
    assert_eq!(new.cookie, socket2::SockRef::from(&ours).cookie().unwrap());
    assert!(new.is_age_known && new.is_established && new.has_empty_queues);

    // The stamps have a resolution of a few milliseconds.
    wait_until(async || see().await.quiet > Duration::from_millis(10)).await;
    ours.write_all(b"question").await.unwrap();
    assert_eq!(see().await.answered, Answered::No);
    theirs.read_exact(&mut [0; 8]).await.unwrap();
    wait_until(async || see().await.quiet > Duration::from_millis(10)).await;
    theirs.write_all(b"answer").await.unwrap();
    wait_until(async || see().await.answered == Answered::Yes).await;
    assert!(!see().await.has_empty_queues, "the answer was not read yet");
    ours.read_exact(&mut [0; 6]).await.unwrap();
    wait_until(async || see().await.has_empty_queues).await;
    assert_eq!(see().await.first_seen, new.first_seen);
}

#[tokio::test]
async fn neither_the_other_end_nor_a_probe_nor_an_unknown_connection_is_seen() {
    let backend = Backend::alone();
    let counting = KernelConnections::start(Options::default()).await.unwrap();
    counting.sample(&backend.set()).await.unwrap();
    let _old = backend.connect().await;
    sampled_until(&counting, &backend, |load| load.established == 1).await;
    let _unknown = backend.connect().await;
    let prober = counting.prober().with_hold_time(LIMIT);
    let probe = tokio::spawn(async move { prober.probe(backend.address).await });
    let _accepted = backend.listener.accept().await.unwrap();
    assert_eq!(counting.connections(&backend.set()).await.unwrap().len(), 1);
    probe.abort();
}

#[tokio::test]
async fn a_connection_that_was_there_before_may_be_of_any_age() {
    let backend = Backend::alone();
    let _old = backend.connect().await;
    let counting = KernelConnections::start(Options::default()).await.unwrap();
    counting.sample(&backend.set()).await.unwrap();
    assert!(!counting.connections(&backend.set()).await.unwrap()[0].is_age_known);
}

async fn wait_until(condition: impl AsyncFn() -> bool) {
    tokio::time::timeout(LIMIT, async { while !condition().await {} }).await.expect("the condition is never true");
}
