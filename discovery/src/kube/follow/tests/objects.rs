//! Tests of objects that break a rule.

use super::*;
use crate::{
    EndpointSliceDiscovery, PortName,
    kube::testing::{WarningCounter, with},
};

/// An event whose object has a field of another type than the API has.
fn unreadable(last: u8, version: u64) -> serde_json::Value {
    with(pod(last, version), [("/spec/containers", "none".into())])
}

#[tokio::test(start_paused = true)]
async fn an_object_that_cannot_be_decoded_leaves_alone_and_comes_back_when_it_can() {
    let (pods, mut server) = pods();
    let mut sets = pods.watch();
    let mut watch = server.sync(5, &[pod(1, 1), unreadable(2, 2), pod(3, 3)]).await;
    assert_eq!(set(&mut sets).await, [1, 3]);
    watch.send("MODIFIED", &unreadable(1, 6)).await;
    assert_eq!(set(&mut sets).await, [3]);
    watch.send("MODIFIED", &pod(2, 7)).await;
    assert_eq!(set(&mut sets).await, [2, 3]);
    watch.send("DELETED", &unreadable(3, 8)).await;
    assert_eq!(set(&mut sets).await, [2]);
    drop(watch);
    assert_eq!(server.next().await.parameter("resourceVersion"), Some("8"), "resumed after the last event");
}

#[tokio::test(start_paused = true)]
async fn a_port_that_is_none_in_one_slice_takes_no_other_slice_away() {
    let slice = |name: &str, last: u8, port: u64| {
        json!({
            "metadata": {"name": name, "uid": name, "resourceVersion": "1"},
            "ports": [{"name": "sql", "port": port}],
            "endpoints": [{"addresses": [format!("10.0.0.{last}")]}],
        })
    };
    let (client, mut server) = ScriptedServer::new();
    let name = "sql".parse::<PortName>().unwrap();
    let slices = EndpointSliceDiscovery::try_from_service(client, "shop", "db", name).unwrap();
    let mut sets = slices.watch();
    let mut watch = server.sync(5, &[slice("a", 1, 5432), slice("b", 2, 543_200)]).await;
    assert_eq!(set(&mut sets).await, [1]);
    watch.send("MODIFIED", &slice("a", 1, 543_200)).await;
    assert_eq!(set(&mut sets).await, [0; 0]);
    watch.send("MODIFIED", &slice("b", 2, 5432)).await;
    assert_eq!(set(&mut sets).await, [2]);
}

#[tokio::test(start_paused = true)]
async fn a_complaint_is_logged_once_however_often_the_source_is_listed_and_watched() {
    let counter = WarningCounter::default();
    let _guard = tracing::subscriber::set_default(counter.clone());
    let odd = |version| with(pod(1, version), [("/metadata/annotations", json!({"ilb.dev/capacity": "much"}))]);
    let (pods, mut server) = pods();
    for _ in 0..3 {
        let (set, ()) = tokio::join!(pods.list(), async { server.next().await.list(5, &[odd(1)]).await });
        set.unwrap();
        assert_eq!(counter.count(), 1);
    }
    let mut sets = pods.watch();
    let mut watch = server.sync(5, &[odd(1)]).await;
    set(&mut sets).await;
    watch.send("MODIFIED", &odd(6)).await;
    watch.send("ADDED", &pod(2, 7)).await;
    assert_eq!(set(&mut sets).await, [1, 2]);
    assert_eq!(counter.count(), 1);
    watch.send("MODIFIED", &pod(1, 8)).await;
    watch.send("MODIFIED", &odd(9)).await;
    watch.send("DELETED", &pod(2, 10)).await;
    assert_eq!(set(&mut sets).await, [1]);
    assert_eq!(counter.count(), 2, "a mistake that comes back");
}
