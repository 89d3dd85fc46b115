//! Pods of several namespaces, or of all, are one set; field selectors and annotations work on a real API server.

use ilb_discovery::{ClientLimits, Discovery, KubeOptions, PodDiscovery, State, api_client};
use ilb_testbed::{ApiServer, Followed, Pods, pod_ip};
use serde_json::json;

async fn source(api_server: &ApiServer, namespace: &str, options: KubeOptions) -> anyhow::Result<PodDiscovery> {
    let client = api_client(&api_server.config(api_server.address()).await?, &ClientLimits::default())?;
    Ok(PodDiscovery::new(client, namespace, Pods::SELECTOR.parse()?, 5432).with_options(options))
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn the_pods_of_two_namespaces_are_one_set() {
    let api_server = ApiServer::start().await.unwrap();
    let [shop, bank, other] = ["shop", "bank", "other"];
    let shop = api_server.namespace(shop).await.unwrap();
    let bank = api_server.namespace(bank).await.unwrap();
    let other = api_server.namespace(other).await.unwrap();
    for (index, pods) in [&shop, &bank, &other].into_iter().enumerate() {
        pods.create_ready("one", pod_ip(index.try_into().unwrap())).await.unwrap();
    }
    let two_namespaces = || KubeOptions::default().with_namespaces(["shop", "bank"]);
    let mut two = Followed::new(&source(&api_server, "shop", two_namespaces()).await.unwrap());
    let all_namespaces = KubeOptions::default().with_all_namespaces();
    let mut all = Followed::new(&source(&api_server, "shop", all_namespaces).await.unwrap());
    assert!(two.until_ready(2).await.unwrap().sets.len() == 1, "the first set is complete");
    assert!(all.until_ready(3).await.unwrap().sets.len() == 1, "the first set is complete");

    bank.remove("one").await.unwrap();
    two.until_ready(1).await.unwrap();
    all.until_ready(2).await.unwrap();
    let listed = source(&api_server, "shop", two_namespaces()).await.unwrap().list().await.unwrap();
    assert_eq!(listed.count(State::Ready), 1);
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn field_selectors_and_annotations_are_followed() {
    let api_server = ApiServer::shared().await.unwrap();
    let pods = api_server.new_namespace("shop").await.unwrap();
    for name in ["one", "two"] {
        pods.create_ready(name, pod_ip(u16::from(name == "two"))).await.unwrap();
    }
    let fields = "metadata.name=one,status.phase=Running".parse().unwrap();
    let source = source(&api_server, pods.namespace(), KubeOptions::default()).await.unwrap();
    let mut followed = Followed::new(&source.with_field_selector(fields));
    followed.until_ready(1).await.unwrap();
    let annotations = json!({"metadata": {"annotations": {"ilb.dev/capacity": "3", "ilb.dev/drain": "true"}}});
    pods.patch("one", annotations).await.unwrap();
    let drained =
        |set: &ilb_discovery::BackendSet| set.iter().any(|b| b.state() == State::Draining && b.capacity().get() == 3);
    followed.until("a drained backend with three shares", drained).await.unwrap();
    pods.patch("one", json!({"metadata": {"annotations": {"ilb.dev/drain": null}}})).await.unwrap();
    followed.until_ready(1).await.unwrap();
}
