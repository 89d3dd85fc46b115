//! Other clients that replace the configuration.

use ilb_traefik_client::Revision;

use super::*;

fn replaced() -> Error {
    Error::Overwritten(Revision::from(&Configuration::default()))
}

fn lose_proofs(running: &Running, count: usize) {
    running.script.proofs.lock().unwrap().extend(std::iter::repeat_n(replaced(), count));
}

#[tokio::test(start_paused = true)]
async fn a_single_replacement_is_repaired_at_once_and_is_no_rival() {
    let mut running = Running::start([]);
    running.found(2).await;
    running.next_push().await;
    for _ in 0..3 {
        running.assert_quiet().await;
        let before = Instant::now();
        lose_proofs(&running, 1);
        assert!(running.next_push().await.at - before <= Pushes::<DesiredPools, Applied>::PROOF_INTERVAL);
    }
    running.assert_quiet().await;
    while let Ok(event) = running.events.try_recv() {
        assert_ne!(event, "RivalFound");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rival_is_reported_once_within_seconds_and_answered_ever_more_slowly() {
    let mut running = Running::start([]);
    running.found(2).await;
    running.next_push().await;
    let started = Instant::now();
    lose_proofs(&running, 1000);
    running.events_until("RivalFound").await;
    assert!(started.elapsed() <= Duration::from_secs(2), "{:?}", started.elapsed());
    let pushes = running.pushes_within(Duration::from_secs(600)).await;
    assert!((20..=60).contains(&pushes), "{pushes} in ten minutes");
    running.script.proofs.lock().unwrap().clear();
    let events = running.events_until("RivalGone").await;
    assert!(!events.contains(&"RivalFound"), "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_rival_that_writes_during_pushes_is_found_too() {
    let mut running = Running::start(std::iter::repeat_with(replaced).take(1000));
    running.found(2).await;
    running.events_until("RivalFound").await;
    let pushes = running.pushes_within(Duration::from_secs(600)).await;
    assert!((20..=60).contains(&pushes), "{pushes} in ten minutes");
}
