//! No change of the pods is lost, however the connection to the API server breaks or crawls.

use std::time::Duration;

use ilb_testbed::{ApiServer, FaultProxy, Followed, Pods, eventually, pod_ip, pods_via};

/// An API server behind a proxy, with one ready pod that has been discovered.
struct Scene {
    _api_server: ApiServer,
    pods: Pods,
    proxy: FaultProxy,
    followed: Followed,
}

impl Scene {
    async fn new() -> anyhow::Result<Self> {
        let api_server = ApiServer::shared().await?;
        let pods = api_server.new_namespace("shop").await?;
        let proxy = FaultProxy::start(api_server.address()).await?;
        let source = pods_via(&api_server, proxy.address(), &pods).await?;
        let mut followed = Followed::new(&source);
        pods.create_ready("pod-0", pod_ip(0)).await?;
        followed.until_ready(1).await?;
        Ok(Self { _api_server: api_server, pods, proxy, followed })
    }

    /// Adds a pod while `fault` is on. Returns how long its discovery took, and how often the view was stale.
    async fn add(&mut self, index: u16, fault: impl FnOnce(&FaultProxy)) -> anyhow::Result<(Duration, usize)> {
        fault(&self.proxy);
        self.pods.create_ready(&format!("pod-{index}"), pod_ip(index)).await?;
        let seen = self.followed.until_ready(usize::from(index) + 1).await?;
        Ok((seen.after, seen.errors.len()))
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn no_change_is_lost_when_connections_are_reset() {
    let mut scene = Scene::new().await.unwrap();
    for index in 1..=5 {
        let (after, stale) = scene.add(index, FaultProxy::reset).await.unwrap();
        println!("reset: seen after {after:.1?}, {stale} times stale");
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn no_change_is_lost_when_connections_are_closed() {
    let mut scene = Scene::new().await.unwrap();
    for index in 1..=5 {
        let (after, stale) = scene.add(index, FaultProxy::close).await.unwrap();
        println!("closed: seen after {after:.1?}, {stale} times stale");
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn no_change_is_lost_when_answers_end_in_the_middle() {
    let mut scene = Scene::new().await.unwrap();
    // Within the TLS handshake, within the head of an answer, within an event.
    for (index, bytes) in [(1, 100), (2, 1_000), (3, 2_000), (4, 3_000)] {
        scene.proxy.truncate_after(bytes);
        scene.pods.create_ready(&format!("pod-{index}"), pod_ip(index)).await.unwrap();
        let before = scene.proxy.accepted();
        eventually("connections are cut", async || {
            anyhow::ensure!(scene.proxy.accepted() >= before + 2, "not yet");
            Ok(())
        })
        .await
        .unwrap();
        scene.proxy.heal();
        let seen = scene.followed.until_ready(usize::from(index) + 1).await.unwrap();
        println!("cut after {bytes} bytes: seen {:.1?} after the end of it, stale: {:?}", seen.after, seen.errors);
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn no_change_is_lost_when_the_network_crawls() {
    let mut scene = Scene::new().await.unwrap();
    let (after, stale) = scene.add(1, |proxy| proxy.delay(Duration::from_millis(300))).await.unwrap();
    println!("delayed: seen after {after:.1?}, {stale} times stale");
    assert_eq!(stale, 0);
    scene.proxy.heal();
    let (after, stale) = scene.add(2, |proxy| proxy.limit(2_000)).await.unwrap();
    println!("slow: seen after {after:.1?}, {stale} times stale");
    assert_eq!(stale, 0);
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn connections_that_are_refused_for_a_while_are_made_again() {
    let mut scene = Scene::new().await.unwrap();
    scene.proxy.refuse();
    scene.proxy.reset();
    let (error, noticed) = scene.followed.until_stale().await.unwrap();
    println!("refused: noticed after {noticed:.1?}: {}", error.with_causes());
    scene.pods.create_ready("pod-1", pod_ip(1)).await.unwrap();
    tokio::time::sleep(Duration::from_secs(15)).await; // the length of the outage
    scene.proxy.heal();
    let recovered = scene.followed.until_ready(2).await.unwrap().after;
    println!("refused for 15 s: recovered in {recovered:.1?}");
}
