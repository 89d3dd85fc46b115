//! Plans compared with what a controller pushes for the same pools.

use std::{sync::Arc, time::Duration};

use ilb_reconciler::{Pacing, siblings::Report};
use ilb_traefik_client::Configuration;
use tokio::sync::mpsc;

use super::*;
use crate::{
    controller::Controller,
    event::Event,
    policy::Policy,
    testing::{Counts, Published, Script, address, name_of, pool, set},
};

/// Creates a pool by least connections and one by round robin, with the same backends and counts in every call. Their
/// discoveries end when the senders are dropped.
async fn pools() -> ([Pool; 2], [mpsc::Sender<Published>; 2]) {
    let counts = Counts::default();
    counts.set(&[7, 0, 4]);
    let least_connections = Policy::least_connections(counts.counter(), Pacing::default());
    let (a, a_sets) = pool("a", "one", least_connections);
    let (b, b_sets) = pool("b", "two", Policy::round_robin());
    a_sets.send(Ok(set(3))).await.unwrap();
    b_sets.send(Ok(set(2))).await.unwrap();
    ([a, b], [a_sets, b_sets])
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_what_a_controller_pushes_first() {
    let (planned, _senders) = pools().await;
    let planned = Box::pin(plan(planned, &mut |_: &Event<'_>| {})).await;
    let mut configuration = Configuration::default();
    for pool in planned.values() {
        pool.add_to(&mut configuration);
    }

    let (served, _senders) = pools().await;
    let (sink, mut pushed) = Arc::new(Script::default()).sink();
    tokio::spawn(Controller::new(Arc::new(sink), served).run(std::future::pending()));
    assert_eq!(configuration, pushed.recv().await.unwrap().configuration);
}

#[tokio::test(start_paused = true)]
async fn a_plan_reports_the_events_of_its_pools_and_no_push() {
    let (pools, _senders) = pools().await;
    let mut events = Vec::new();
    Box::pin(plan(pools, &mut |event: &Event<'_>| events.push(name_of(event)))).await;
    let by_least_connections = ["PoolAdded", "Discovered", "Sampled", "Decided"];
    let by_round_robin = ["PoolAdded", "Discovered", "Decided"];
    assert_eq!(events, [&by_least_connections[..], &by_round_robin].concat());
}

#[tokio::test(start_paused = true)]
async fn a_plan_with_siblings_is_by_the_connections_of_all_replicas() {
    let counts = Counts::default();
    counts.set(&[30, 30, 30]);
    let (pool, sets) = pool("a", "one", Policy::least_connections(counts.counter(), Pacing::default()));
    sets.send(Ok(set(3))).await.unwrap();
    let sibling = ReplicaId::new(2);
    let connections = (0..).map(address).zip([30, 30, 10]);
    let report = Report::new(sibling, 1, Duration::ZERO, 0, connections);
    let at = Instant::now().into_std();
    let events = [
        SiblingEvent::Heard { address: ([10, 0, 1, 2], 8081).into(), replica: sibling },
        SiblingEvent::Reported { replica: sibling, pools: [("a".to_owned(), report)].into(), at },
    ];
    let mut names = Vec::new();
    let mut observer = |event: &Event<'_>| names.push(name_of(event));
    let planned = plan_with_siblings([pool], ReplicaId::new(1), &events, &mut observer).await;
    let weights: Vec<u32> =
        planned.values().next().unwrap().decision.plan.entries().iter().map(|entry| entry.weight).collect();
    // It lacks 20 of two replicas, of which this one fills its half, less what keeps its own connections even.
    assert_eq!((weights[0] - weights[1], weights[2] - weights[0]), (0, 9));
    assert_eq!(names[..2], ["Sibling", "Sibling"]);
}
