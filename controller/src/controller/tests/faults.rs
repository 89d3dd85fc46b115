//! Pools that Traefik does not take, beside others.

use super::*;

fn disabled(pool: &str) -> Error {
    Error::RouterDisabled { router: pool.to_owned(), reason: "no".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_traefik_does_not_take_is_tried_again_with_growing_pauses_and_delays_no_other() {
    let mut two = Running::two();
    two.script.refuse("b", disabled("b"));
    two.found_by(0, 2).await;
    two.found_by(1, 2).await;
    two.next_push().await;
    let hour = Duration::from_secs(3600);
    let pushes = two.pushes_within(hour).await;
    assert!((5..=70).contains(&pushes), "{pushes} in an hour");
    let changed = Instant::now();
    two.found_by(0, 3).await;
    assert_eq!(two.next_push().await.at, changed, "a change of another pool does not wait");
    two.script.faults.lock().unwrap().clear();
    assert_eq!(two.pushes_within(hour).await, 1, "once it is in force nothing is repeated");
}

#[tokio::test(start_paused = true)]
async fn only_the_pools_in_force_are_reported_as_such_and_a_repetition_changes_nothing() {
    let script = Arc::new(Script::default());
    script.refuse("b", disabled("b"));
    let (pools, discovery): (Vec<_>, Vec<_>) =
        ["a", "b"].iter().map(|name| pool(name, name, Policy::round_robin())).unzip();
    let (sink, _pushed) = script.sink();
    let (sender, mut reported) = mpsc::unbounded_channel();
    let controller = Controller::new(Arc::new(sink), pools).with_observer(move |event: &Event<'_>| {
        if let Event::Pushed { desired, previous, applied } = event {
            let names = |pools: &DesiredPools| pools.keys().map(Name::to_string).collect::<Vec<_>>().concat();
            let faults: Vec<_> = applied.faults.keys().map(Name::to_string).collect();
            sender.send((names(desired), names(previous), faults.concat())).unwrap();
        }
    });
    let _task = tokio::spawn(controller.run(std::future::pending()));
    for sets in &discovery {
        sets.send(Ok(set(1))).await.unwrap();
    }
    let mut next = async || timeout(Duration::from_secs(120), reported.recv()).await.expect("a push").unwrap();
    let of = |pushed: [&str; 3]| (pushed[0].to_owned(), pushed[1].to_owned(), pushed[2].to_owned());
    assert_eq!(next().await, of(["a", "", "b"]));
    assert_eq!(next().await, of(["a", "a", "b"]));
    script.faults.lock().unwrap().clear();
    assert_eq!(next().await, of(["ab", "a", ""]));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_a_pool_that_is_left_out_does_not_renew_the_plans_of_the_others() {
    let counts = crate::testing::Counts::default();
    counts.set(&[5, 5]);
    let missing = || Error::EntryPointMissing { missing: vec!["b".to_owned()], known: Vec::new() };
    let script = Arc::new(Script::default());
    script.refuse("b", missing());
    let policy = Policy::least_connections(counts.counter(), ilb_reconciler::Pacing::default());
    let ((a, a_sets), (b, b_sets)) = (pool("a", "a", policy), pool("b", "b", Policy::round_robin()));
    let (sink, mut pushed) = script.sink();
    let (changes, receiver) = mpsc::channel(1);
    let controller = Controller::new(Arc::new(sink), [a, b]).with_changes(receiver);
    let _task = tokio::spawn(controller.run(std::future::pending()));
    a_sets.send(Ok(set(2))).await.unwrap();
    b_sets.send(Ok(set(1))).await.unwrap();
    let mut next = async || timeout(Duration::from_secs(10), pushed.recv()).await.expect("a push").unwrap();
    let service = |push: Push| push.configuration.tcp.services.get("a").cloned();
    let first = service(next().await);
    b_sets.send(Ok(set(2))).await.unwrap();
    assert_eq!(service(next().await), first);

    // At an entry point that exists it is pushed, and Traefik starts every round robin from the top.
    script.faults.lock().unwrap().clear();
    let (moved, moved_sets) = pool("b", "elsewhere", Policy::round_robin());
    changes.send(PoolChanges { removed: Vec::new(), added: vec![moved] }).await.unwrap();
    moved_sets.send(Ok(set(2))).await.unwrap();
    timeout(Duration::from_secs(10), async { while service(next().await) == first {} }).await.unwrap();
}
