//! A backend that leaves the selector is left at once, and one that leaves in any other way is not.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use ilb_testbed::{ApiServer, BACKEND_PORT, FaultProxy, Ilb, Pods, Readiness, Void, World, eventually};

use crate::{
    cluster::{Cluster, alone_with_hosts},
    crowd::{AfterEnd, Crowd},
    scene::moment,
};

/// Settings by which a backend that left is left, also in the first moments of ilb.
const CLOSE: [(&str, &str); 2] = [("ILB_CLOSING_ON_SELECTOR_LEFT", "close"), ("ILB_CLOSING_SETTLE", "1ms")];
/// Time within which the connections of a backend that left are closed, from the event on: 200 ms in which it may come back,
/// and a turn.
const AT_ONCE: Duration = Duration::from_millis(500);

/// Takes the label away by which the selector finds a pod.
async fn move_label(cluster: &Cluster, index: u16) {
    let label = BTreeMap::from([("app", Some("something-else"))]);
    cluster.world.pods.label(&World::pod(index), label).await.unwrap();
}

/// Moves the label of a pod, and waits until its connections are closed. Then all others would have been closed as well that
/// should not be.
async fn only_those_of_the_moved_one_end(cluster: &Cluster, crowd: &Crowd, index: u16) {
    let (address, before) = (cluster.world.address(index), crowd.counts());
    let held = before[&address];
    assert!(crowd.ends().is_empty(), "{:?}", crowd.ends());
    move_label(cluster, index).await;
    crowd.wait_for_ends(held).await;
    cluster.wait_for_log("connections closed in").await;
    eventually("all clients are elsewhere", async || {
        anyhow::ensure!(crowd.connected() == crowd.len(), "{} are connected", crowd.connected());
        Ok(())
    })
    .await
    .unwrap();
    let ends = crowd.ends();
    assert!(ends.len() == held && ends.iter().all(|end| end.backend == address), "{ends:?}");
    assert_eq!(cluster.closed(), held);
}

/// Returns the times from the arrival of the event, after which this many pods are ready, to the first and to the last closing
/// of a connection to the backend at `address`, as ilb has logged them.
fn delays(ilb: &Ilb, ready: u16, address: &str) -> (Duration, Duration) {
    let found = ilb.logged("Found pods").unwrap();
    let event = moment(found.iter().rfind(|line| line["ready"] == ready).unwrap());
    let closings = ilb.logged("Closing a connection").unwrap();
    let mut closings = closings.iter().filter(|line| line["backend"] == address && line["result"] == "closed");
    // Of a closing before the event, this is an error.
    let delay = |line| moment(line).duration_since(event).try_into().unwrap();
    let first = delay(closings.next().unwrap());
    (first, closings.next_back().map_or(first, delay))
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_backend_that_left_the_selector_is_left_at_once_even_if_it_is_unreachable() {
    if !alone_with_hosts("role::a_backend_that_left_the_selector_is_left_at_once_even_if_it_is_unreachable") {
        return;
    }
    let cluster = Cluster::start(3, &CLOSE).await;
    let crowd = Crowd::connect(cluster.world.traefik.entry_point(), AfterEnd::Reconnect, 60).await;
    let void = Void::new().unwrap();
    for (index, is_reachable) in [(0, true), (1, false)] {
        let address = cluster.world.address(index);
        let before = crowd.ends().len();
        let held = crowd.counts()[&address];
        assert!(held >= 10, "{:?}", crowd.counts());
        if !is_reachable {
            void.swallow([address.ip()]).unwrap();
        }
        move_label(&cluster, index).await;
        let ends = crowd.wait_for_ends(before + held).await;
        assert!(ends[before..].iter().all(|end| end.backend == address), "{ends:?}");
        eventually("all clients are elsewhere", async || {
            let counts = crowd.counts();
            anyhow::ensure!(
                counts.values().sum::<usize>() == crowd.len() && !counts.contains_key(&address),
                "{counts:?}"
            );
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(crowd.ends().len(), before + held, "no other connection has ended");
        let (first, last) = delays(&cluster.world.ilb, 2 - index, &address.to_string());
        println!("reachable: {is_reachable}, {held} connections closed {first:?} to {last:?} after the event");
        assert!(last <= AT_ONCE + Duration::from_secs(1), "{last:?}");
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_backend_that_left_in_another_way_keeps_its_connections() {
    if !alone_with_hosts("role::a_backend_that_left_in_another_way_keeps_its_connections") {
        return;
    }
    let cluster = Cluster::start(5, &CLOSE).await;
    let world = &cluster.world;
    let crowd = Crowd::connect(world.traefik.entry_point(), AfterEnd::Reconnect, 50).await;
    let pods = &world.pods;
    // Deleted with a grace period, and gone at its end; deleted at once; not ready.
    pods.delete(&World::pod(0)).await.unwrap();
    world.wait_until_in_force(4).await.unwrap();
    pods.remove(&World::pod(0)).await.unwrap();
    pods.remove(&World::pod(1)).await.unwrap();
    world.wait_until_in_force(3).await.unwrap();
    world.set_pod(2, Readiness::NotReady).await.unwrap();
    world.wait_until_in_force(2).await.unwrap();
    only_those_of_the_moved_one_end(&cluster, &crowd, 3).await;
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_selector_that_is_changed_in_the_settings_closes_nothing() {
    if !alone_with_hosts("role::a_selector_that_is_changed_in_the_settings_closes_nothing") {
        return;
    }
    let mut cluster = Cluster::start(3, &CLOSE).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ilb.yaml");
    // The same again with its settings in a file.
    cluster.world.ilb.kill().unwrap();
    write_settings(&cluster, &file, Pods::SELECTOR);
    let (kubeconfig, admin) = (cluster.world.api_server.kubeconfig(), cluster.world.admin.address().to_string());
    let variables = [
        ("ILB_CONFIG", file.to_str().unwrap()),
        ("KUBECONFIG", kubeconfig.to_str().unwrap()),
        ("ILB_ADMIN_ADDRESS", admin.as_str()),
    ];
    cluster.world.ilb = Ilb::start(&variables).unwrap();
    cluster.world.ilb.wait_for_log("The closer can close connections").await.unwrap();
    cluster.world.admin.wait_until_ok("/readyz").await.unwrap();
    let crowd = Crowd::connect(cluster.world.traefik.entry_point(), AfterEnd::Reconnect, 60).await;

    cluster.world.pods.label(&World::pod(0), BTreeMap::from([("role", Some("old"))])).await.unwrap();
    write_settings(&cluster, &file, &format!("{},role!=old", Pods::SELECTOR));
    cluster.world.wait_until_in_force(2).await.unwrap();
    only_those_of_the_moved_one_end(&cluster, &crowd, 1).await;
}

/// Replaces the file of the settings.
fn write_settings(cluster: &Cluster, file: &Path, selector: &str) {
    let settings = format!(
        "log: {{level: debug}}\ntraefik: {{urls: ['{}']}}\ncloser: {{socket: '{}'}}\npools:\n- {{name: default, \
         selector: '{selector}', namespaces: [{}], backendPort: {BACKEND_PORT}, closing: {{onSelectorLeft: close, \
         settle: 1ms}}}}\n",
        cluster.world.traefik.rest_url(),
        cluster.closer.socket().display(),
        cluster.world.pods.namespace(),
    );
    let new = file.with_extension("new");
    fs::write(&new, settings).unwrap();
    fs::rename(new, file).unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_label_that_moved_while_the_watch_was_broken_closes_nothing() {
    if !alone_with_hosts("role::a_label_that_moved_while_the_watch_was_broken_closes_nothing") {
        return;
    }
    let api_server = ApiServer::start().await.unwrap();
    let proxy = FaultProxy::start(api_server.address()).await.unwrap();
    let kubeconfig = api_server.kubeconfig_via(proxy.address()).unwrap();
    let [on_selector_left, settle] = CLOSE;
    let settings = [on_selector_left, settle, ("KUBECONFIG", kubeconfig.to_str().unwrap())];
    let mut cluster = Cluster::on(api_server, "1000", 3, &settings).await;
    let crowd = Crowd::connect(cluster.world.traefik.entry_point(), AfterEnd::Reconnect, 60).await;

    proxy.refuse();
    proxy.reset();
    cluster.wait_for_log("Discovery is stale").await;
    move_label(&cluster, 0).await;
    // The API server forgets the event, and answers 410 to whoever asks for it.
    cluster.world.api_server.kill().unwrap();
    cluster.world.api_server.compact().await.unwrap();
    cluster.world.api_server.restart().await.unwrap();
    proxy.heal();
    cluster.world.wait_until_in_force(2).await.unwrap();
    let relists = cluster.world.admin.metric("ilb_discovery_relists_total{pool=\"default\"}").await.unwrap();
    assert!(relists >= 1.0, "the event has been watched");
    only_those_of_the_moved_one_end(&cluster, &crowd, 1).await;
}
