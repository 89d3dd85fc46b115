//! The Service and the `NetworkPolicy`.

use ilb_testbed::Chart;
use serde_json::json;

#[test]
#[ignore = "needs the testbed: make test"]
fn the_service_leads_to_the_listener_whatever_its_own_port_is() {
    let rendered = Chart::new().unwrap().render("{env: {relay: a=b, portname: pg}, service: {port: 5432}}").unwrap();
    let service = rendered.only("Service").unwrap();
    let ports = json!([{"name": "pg", "port": 5432, "targetPort": 3333, "protocol": "TCP"}]);
    assert_eq!(service["spec"]["ports"], ports);
    assert_eq!(service["spec"]["publishNotReadyAddresses"], false);
    let ports = &rendered.container("traefik").unwrap()["ports"];
    assert_eq!(ports[0], json!({"name": "pg", "containerPort": 3333, "protocol": "TCP"}));
}

#[test]
#[ignore = "needs the testbed: make test"]
fn every_field_of_the_service_arrives() {
    let values = "{env: {relay: a=b}, service: {type: LoadBalancer, clusterIP: 'fd00::9', externalIPs: [192.0.2.1],
        externalTrafficPolicy: Local, internalTrafficPolicy: Local, trafficDistribution: PreferClose,
        sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}, loadBalancerClass: a/b,
        loadBalancerSourceRanges: [10.0.0.0/8], allocateLoadBalancerNodePorts: false, healthCheckNodePort: 31000,
        ipFamilyPolicy: PreferDualStack, ipFamilies: [IPv6, IPv4], nodePort: 30033, labels: {a: b}, annotations: {c: d}}}";
    let rendered = Chart::new().unwrap().render(values).unwrap();
    let service = rendered.only("Service").unwrap();
    let mut spec = service["spec"].clone();
    assert_eq!(spec["ports"][0]["nodePort"], 30033);
    let spec = spec.as_object_mut().unwrap();
    spec.retain(|key, _| !["ports", "selector"].contains(&key.as_str()));
    insta::assert_json_snapshot!(spec);
    assert_eq!(
        (&service["metadata"]["labels"]["a"], &service["metadata"]["annotations"]["c"]),
        (&json!("b"), &json!("d"))
    );
}

#[test]
#[ignore = "needs the testbed: make test"]
fn the_network_policy_lets_through_what_the_pod_needs() {
    let values = "{networkPolicy: {enabled: true}, pools: [
        {name: a, port: 4001, selector: app=a, namespaces: [one, two], backendPort: 5432},
        {name: b, port: 4002, service: b, backendPort: amqp},
        {name: c, port: 4003, selector: app=c, allNamespaces: true}]}";
    let rendered = Chart::new().unwrap().render(values).unwrap();
    let policy = rendered.only("NetworkPolicy").unwrap();
    assert_eq!(
        policy["spec"]["podSelector"]["matchLabels"],
        rendered.only("Deployment").unwrap()["spec"]["selector"]["matchLabels"]
    );
    insta::assert_json_snapshot!([&policy["spec"]["ingress"], &policy["spec"]["egress"]]);
}

/// A restriction of who may read metrics does not shut out the pod of `helm test`.
#[test]
#[ignore = "needs the testbed: make test"]
fn the_network_policy_does_not_shut_out_helm_test() {
    let values = "{env: {relay: a=b}, networkPolicy: {enabled: true, metrics: [{podSelector: {matchLabels: {a: b}}}]}}";
    let rendered = Chart::new().unwrap().render(values).unwrap();
    let peers = rendered.only("NetworkPolicy").unwrap()["spec"]["ingress"][1]["from"].as_array().unwrap().clone();
    assert_eq!(peers.len(), 2);
    let hooks = rendered.hooks();
    let labels = &hooks.iter().find(|hook| hook["kind"] == "Pod").unwrap()["metadata"]["labels"];
    for (key, value) in peers[1]["podSelector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(labels[key], *value);
    }
}
