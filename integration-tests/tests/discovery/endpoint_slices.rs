//! The EndpointSlices of a Service serve as well as its pods, where pods may not be read.

use ilb_discovery::{ClientLimits, EndpointSliceDiscovery, KubeOptions, PortName, State, api_client};
use ilb_testbed::{ApiServer, Followed};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

fn endpoint(uid: &str, address: &str, conditions: &Value) -> Value {
    json!({
        "addresses": [address],
        "conditions": conditions,
        "zone": "eu-1a",
        "targetRef": {"kind": "Pod", "name": uid, "uid": uid},
    })
}

fn slice(name: &str, family: &str, endpoints: &[Value]) -> serde_json::Result<EndpointSlice> {
    serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "db"}},
        "addressType": family,
        "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}],
        "endpoints": endpoints,
    }))
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn the_slices_of_a_service_are_merged_and_their_conditions_followed() {
    let api_server = ApiServer::shared().await.unwrap();
    let namespace = api_server.new_namespace("shop").await.unwrap();
    let slices: Api<EndpointSlice> = Api::namespaced(api_server.client(), namespace.namespace());
    let ready = json!({"ready": true});
    for slice in [
        slice(
            "db-4",
            "IPv4",
            &[endpoint("a", "10.1.0.1", &ready), endpoint("b", "10.1.0.2", &json!({"ready": false}))],
        ),
        slice("db-6", "IPv6", &[endpoint("a", "fd00::1", &ready), endpoint("c", "fd00::3", &ready)]),
    ] {
        slices.create(&PostParams::default(), &slice.unwrap()).await.unwrap();
    }
    let client = api_client(&api_server.config(api_server.address()).await.unwrap(), &ClientLimits::default()).unwrap();
    let source = EndpointSliceDiscovery::try_from_service(
        client,
        namespace.namespace(),
        "db",
        "sql".parse::<PortName>().unwrap(),
    )
    .unwrap();
    let mut followed = Followed::new(&source.with_options(KubeOptions::default().with_draining_fallback()));
    let seen = followed.until_ready(2).await.unwrap();
    let set = seen.sets.last().unwrap();
    let discovered: Vec<_> =
        set.iter().map(|b| format!("{} {} {}", b.address(), b.state(), b.zone().unwrap())).collect();
    assert_eq!(
        discovered,
        ["10.1.0.1:5432 ready eu-1a", "10.1.0.2:5432 not ready eu-1a", "[fd00::3]:5432 ready eu-1a"]
    );

    slices.delete("db-6", &DeleteParams::default()).await.unwrap();
    followed.until_ready(1).await.unwrap();
    let leaving = json!({"ready": false, "serving": true, "terminating": true});
    let patch = json!({"endpoints": [endpoint("a", "10.1.0.1", &leaving), endpoint("b", "10.1.0.2", &ready)]});
    slices.patch("db-4", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    followed
        .until("one leaves, the other is ready", |set| (set.count(State::Draining), set.count(State::Ready)) == (1, 1))
        .await
        .unwrap();
    let patch = json!({"endpoints": [endpoint("a", "10.1.0.1", &leaving)]});
    slices.patch("db-4", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    followed.until("the last one is used", |set| set.len() == 1 && set.count(State::Ready) == 1).await.unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_port_that_is_none_takes_only_its_own_slice_away() {
    let api_server = ApiServer::shared().await.unwrap();
    let namespace = api_server.new_namespace("shop").await.unwrap();
    let slices: Api<EndpointSlice> = Api::namespaced(api_server.client(), namespace.namespace());
    let ready = json!({"ready": true});
    for (name, address, port) in [("good", "10.1.0.1", 5432), ("typing-error", "10.1.0.2", 543_200)] {
        let mut slice = slice(name, "IPv4", &[endpoint(name, address, &ready)]).unwrap();
        slice.ports.as_mut().unwrap()[0].port = Some(port);
        slices.create(&PostParams::default(), &slice).await.unwrap();
    }
    let client = api_client(&api_server.config(api_server.address()).await.unwrap(), &ClientLimits::default()).unwrap();
    let source = EndpointSliceDiscovery::try_from_service(client, namespace.namespace(), "db", 5432).unwrap();
    let mut followed = Followed::new(&source);
    assert_eq!(followed.until_ready(1).await.unwrap().errors.len(), 0);

    // The event of a watch, too.
    let port = |port: i32| Patch::Merge(json!({"ports": [{"name": "sql", "port": port}]}));
    slices.patch("good", &PatchParams::default(), &port(-1)).await.unwrap();
    assert_eq!(followed.until_ready(0).await.unwrap().errors.len(), 0);
    slices.patch("typing-error", &PatchParams::default(), &port(5432)).await.unwrap();
    let seen = followed.until_ready(1).await.unwrap();
    assert_eq!(seen.sets.last().unwrap().iter().next().unwrap().address().to_string(), "10.1.0.2:5432");
    assert_eq!(seen.errors.len(), 0);
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_service_without_ports_works_with_a_port_number() {
    let api_server = ApiServer::shared().await.unwrap();
    let namespace = api_server.new_namespace("shop").await.unwrap();
    let slices: Api<EndpointSlice> = Api::namespaced(api_server.client(), namespace.namespace());
    let mut slice = slice("db", "IPv4", &[endpoint("a", "10.1.0.1", &json!({"ready": true}))]).unwrap();
    slice.ports = None;
    slices.create(&PostParams::default(), &slice).await.unwrap();
    let client = api_client(&api_server.config(api_server.address()).await.unwrap(), &ClientLimits::default()).unwrap();
    let source = EndpointSliceDiscovery::try_from_service(client, namespace.namespace(), "db", 5432).unwrap();
    let seen = Followed::new(&source).until_ready(1).await.unwrap();
    assert_eq!(seen.sets[0].iter().next().unwrap().address().to_string(), "10.1.0.1:5432");
}
