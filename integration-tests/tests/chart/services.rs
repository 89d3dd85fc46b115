//! Several Services in one release, and ports of the nodes.

use ilb_testbed::Chart;
use serde_json::{Value, json};

#[test]
#[ignore = "needs the testbed: make test"]
fn each_pool_can_have_a_service_of_its_own() {
    let values = "
pools:
  - {name: postgres, selector: app=pg, port: 5432}
  - {name: mqtt, selector: app=mqtt, port: 1883, nodePort: 31000}
service: {pools: [postgres]}
services:
  - name: mqtt
    pools: [mqtt]
    ports: {mqtt: {port: 8883}}
    type: LoadBalancer
    loadBalancerClass: a/b
    annotations: {x: 'y'}
  - {name: all}";
    let chart = Chart::new().unwrap();
    let rendered = chart.render(values).unwrap();
    let ports = |name: &str| -> Value {
        let services = rendered.all("Service");
        let service = services.iter().find(|service| service["metadata"]["name"] == name).unwrap();
        let ports = service["spec"]["ports"].as_array().unwrap();
        json!(ports.iter().map(|port| json!([port["port"], port["targetPort"], port["nodePort"]])).collect::<Vec<_>>())
    };
    assert_eq!(ports("my-lb-ilb"), json!([[5432, 5432, null]]));
    assert_eq!(
        ports("my-lb-ilb-mqtt"),
        json!([[8883, 1883, null]]),
        "the pool's node port is that of the first Service"
    );
    assert_eq!(ports("my-lb-ilb-all"), json!([[5432, 5432, null], [1883, 1883, null]]));
    let services = rendered.all("Service");
    let broker = services.iter().find(|service| service["metadata"]["name"] == "my-lb-ilb-mqtt").unwrap();
    assert_eq!(
        (&broker["spec"]["type"], &broker["spec"]["loadBalancerClass"]),
        (&json!("LoadBalancer"), &json!("a/b"))
    );
    assert_eq!(broker["metadata"]["annotations"]["x"], "y");
    assert_eq!(broker["spec"]["selector"], rendered.only("Deployment").unwrap()["spec"]["selector"]["matchLabels"]);
    let notes = chart.notes(values).unwrap();
    assert!(notes.contains("my-lb-ilb-mqtt.apps:8883 -> pool mqtt"), "{notes}");
    assert!(notes.contains("services[0] (mqtt).type=LoadBalancer makes the backends reachable"), "{notes}");
}

#[test]
#[ignore = "needs the testbed: make test"]
fn pools_behind_different_services_may_have_the_same_port_there() {
    let values = "
service: {enabled: false}
pools:
  - {name: a, selector: app=a, port: 4001, servicePort: 5432}
  - {name: b, selector: app=b, port: 4002, servicePort: 5432}
services: [{name: a, pools: [a]}, {name: b, pools: [b]}]";
    let rendered = Chart::new().unwrap().render(values).unwrap();
    let names: Vec<_> = rendered.all("Service").iter().map(|service| service["metadata"]["name"].clone()).collect();
    assert_eq!(json!(names), json!(["my-lb-ilb-a", "my-lb-ilb-b"]));
}

#[test]
#[ignore = "needs the testbed: make test"]
fn a_daemon_set_runs_a_pod_on_each_node_and_opens_its_ports() {
    let values = "
env: {relay: app=x}
kind: DaemonSet
service: {hostPort: 5432}
updateStrategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}
replicaCount: 3";
    let chart = Chart::new().unwrap();
    let rendered = chart.render(values).unwrap();
    let spec = &rendered.only("DaemonSet").unwrap()["spec"];
    assert!(rendered.all("Deployment").is_empty() && rendered.all("PodDisruptionBudget").is_empty());
    assert!(spec.get("replicas").is_none() && spec.get("strategy").is_none());
    assert_eq!(spec["updateStrategy"]["rollingUpdate"], json!({"maxSurge": 0, "maxUnavailable": 1}));
    assert!(spec["template"]["spec"].get("topologySpreadConstraints").is_none());
    assert_eq!(rendered.container("traefik").unwrap()["ports"][0]["hostPort"], 5432);
    let notes = chart.notes(values).unwrap();
    assert!(
        notes.contains("rollout status daemonset/my-lb-ilb") && notes.contains("port 5432 of each node"),
        "{notes}"
    );
}
