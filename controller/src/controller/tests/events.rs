//! The events that observers are notified of.

use super::*;

#[tokio::test(start_paused = true)]
async fn each_occurrence_is_one_event() {
    let mut running = Running::start([away()]);
    running.found(1).await;
    running.next_push().await;
    running.next_push().await;
    running.discovery[0].send(Err(stale())).await.unwrap();
    running.assert_quiet().await;
    running.script.proofs.lock().unwrap().push_back(Error::Restarted);
    running.next_push().await;
    running
        .changes
        .send(PoolChanges { removed: vec!["default".parse().unwrap()], ..PoolChanges::default() })
        .await
        .unwrap();
    assert_eq!(
        running.events_until("PoolRemoved").await,
        [
            "PoolAdded",
            "Discovered",
            "Decided",
            "PushStarted",
            "PushFailed",
            "PushStarted",
            "Pushed",
            "DiscoveryStale",
            "ProofLost",
            "PushStarted",
            "Pushed",
            "PoolRemoved"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn the_loop_reports_that_it_is_alive_even_if_nothing_happens() {
    let mut running = Running::start([]);
    time::sleep(Duration::from_millis(10_500)).await;
    let mut alive = 0;
    while let Ok(event) = running.events.try_recv() {
        alive += usize::from(event == "Alive");
    }
    assert!(alive >= 10, "{alive} times in ten heartbeats");
}
