//! Several pools, and pools that are added, removed and replaced while the loop runs.

use super::*;

/// Returns what [`Push::members`] returns for these pools.
fn members(pools: &[(&str, usize)]) -> Vec<(String, usize)> {
    pools.iter().map(|(name, backends)| ((*name).to_owned(), *backends)).collect()
}

#[tokio::test(start_paused = true)]
async fn all_pools_are_one_configuration_and_the_first_push_waits_for_each() {
    let mut two = Running::two();
    two.found_by(0, 2).await;
    time::sleep(Duration::from_secs(1)).await;
    assert!(two.pushed.try_recv().is_err(), "a push would take the other pool out of service");
    two.found_by(1, 3).await;
    assert_eq!(two.next_push().await.members(), members(&[("a", 2), ("b", 3)]));
    two.found_by(0, 1).await;
    assert_eq!(two.next_push().await.members(), members(&[("a", 1), ("b", 3)]));
}

#[tokio::test(start_paused = true)]
async fn a_pool_with_unknown_backends_delays_the_others_only_for_a_while() {
    let started = Instant::now();
    let mut two = Running::two();
    two.found_by(0, 2).await;
    let first = two.next_push().await;
    assert_eq!(first.members(), members(&[("a", 2)]));
    assert_eq!(first.at - started, Controller::MAX_FIRST_PUSH_DELAY);
    two.found_by(1, 1).await;
    assert_eq!(two.next_push().await.members(), members(&[("a", 2), ("b", 1)]));
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_replaces_another_serves_its_backends_until_it_knows_its_own() {
    let mut two = Running::two();
    two.found_by(0, 2).await;
    two.found_by(1, 3).await;
    two.next_push().await;
    let (other, discovery) = pool("b", "elsewhere", Policy::round_robin());
    two.changes.send(PoolChanges { removed: Vec::new(), added: vec![other] }).await.unwrap();
    assert_eq!(two.next_push().await.members(), members(&[("a", 2), ("b", 3)]), "on its entry point");
    discovery.send(Ok(set(1))).await.unwrap();
    assert_eq!(two.next_push().await.members(), members(&[("a", 2), ("b", 1)]));
    two.changes.send(PoolChanges { removed: vec!["a".parse().unwrap()], added: Vec::new() }).await.unwrap();
    assert_eq!(two.next_push().await.members(), members(&[("b", 1)]));
}

#[tokio::test(start_paused = true)]
async fn a_pool_by_round_robin_that_replaces_one_with_the_same_plan_pushes_nothing() {
    let mut running = Running::start([]);
    running.found(2).await;
    running.next_push().await;
    let (other, discovery) = pool("default", "tcp", Policy::round_robin());
    running.changes.send(PoolChanges { removed: Vec::new(), added: vec![other] }).await.unwrap();
    discovery.send(Ok(set(2))).await.unwrap();
    running.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_replaced_twice_before_it_knows_its_backends_pushes_nothing_for_the_same_plan() {
    let mut running = Running::start([]);
    running.found(2).await;
    running.next_push().await;
    let (unknown, _discovery) = pool("default", "tcp", Policy::round_robin());
    running.changes.send(PoolChanges { removed: Vec::new(), added: vec![unknown] }).await.unwrap();
    running.assert_quiet().await;
    let (known, discovery) = pool("default", "tcp", Policy::round_robin());
    running.changes.send(PoolChanges { removed: Vec::new(), added: vec![known] }).await.unwrap();
    discovery.send(Ok(set(2))).await.unwrap();
    running.assert_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn pools_are_added_before_those_of_other_names_are_removed() {
    let mut two = Running::two();
    two.found_by(0, 1).await;
    two.found_by(1, 1).await;
    two.events_until("Pushed").await;
    let renamed = ["c", "d"].map(|name| pool(name, name, Policy::round_robin()).0);
    let removed = vec!["a".parse().unwrap(), "b".parse().unwrap()];
    two.changes.send(PoolChanges { removed, added: renamed.into() }).await.unwrap();
    let events = [two.events_until("PoolRemoved").await, two.events_until("PoolRemoved").await].concat();
    assert_eq!(events, ["PoolAdded", "PoolAdded", "PoolRemoved", "PoolRemoved"]);
}
