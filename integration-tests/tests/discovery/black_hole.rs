//! An API server that vanishes without closing connections is noticed, and changes meanwhile are seen after its return.

use ilb_discovery::{Discovery, Error};
use ilb_testbed::{
    ApiServer, FaultProxy, Followed, alone_in_a_network, deliver_packets, lose_packets, pod_ip, pods_via,
};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_watch_over_which_nothing_comes_any_more_is_noticed() {
    let api_server = ApiServer::shared().await.unwrap();
    let pods = api_server.new_namespace("shop").await.unwrap();
    let proxy = FaultProxy::start(api_server.address()).await.unwrap();
    let source = pods_via(&api_server, proxy.address(), &pods).await.unwrap();
    let mut followed = Followed::new(&source);
    pods.create_ready("one", pod_ip(1)).await.unwrap();
    followed.until_ready(1).await.unwrap();

    proxy.pause();
    pods.create_ready("two", pod_ip(2)).await.unwrap();
    let (error, noticed) = followed.until_stale().await.unwrap();
    assert!(matches!(error, Error::Silent { .. }), "{error}");
    let silent = source.since_contact().unwrap();
    proxy.heal();
    let recovered = followed.until_ready(2).await.unwrap().after;
    println!("paused: noticed after {noticed:.1?} ({silent:.1?} since contact), recovered in {recovered:.1?}");
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn an_api_server_that_is_stopped_is_noticed() {
    let mut api_server = ApiServer::start().await.unwrap();
    let pods = api_server.namespace("shop").await.unwrap();
    let source = pods_via(&api_server, api_server.address(), &pods).await.unwrap();
    let mut followed = Followed::new(&source);
    pods.create_ready("one", pod_ip(1)).await.unwrap();
    followed.until_ready(1).await.unwrap();

    api_server.freeze().unwrap();
    let (error, noticed) = followed.until_stale().await.unwrap();
    assert!(matches!(error, Error::Silent { .. }), "{error}");
    api_server.resume().unwrap();
    pods.create_ready("two", pod_ip(2)).await.unwrap();
    let recovered = followed.until_ready(2).await.unwrap().after;
    println!("stopped: noticed after {noticed:.1?}, recovered in {recovered:.1?}");
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_network_that_loses_every_packet_is_noticed() {
    if !alone_in_a_network("black_hole::a_network_that_loses_every_packet_is_noticed").unwrap() {
        return;
    }
    let api_server = ApiServer::start().await.unwrap();
    let pods = api_server.namespace("shop").await.unwrap();
    let source = pods_via(&api_server, api_server.address(), &pods).await.unwrap();
    let mut followed = Followed::new(&source);
    pods.create_ready("one", pod_ip(1)).await.unwrap();
    followed.until_ready(1).await.unwrap();

    lose_packets().unwrap();
    let (_, noticed) = followed.until_stale().await.unwrap();
    deliver_packets().unwrap();
    pods.create_ready("two", pod_ip(2)).await.unwrap();
    let recovered = followed.until_ready(2).await.unwrap().after;
    println!("packets lost: noticed after {noticed:.1?}, recovered in {recovered:.1?}");
}
