//! Pools prefer backends of their own zone, and only then something is read for it.

use ilb_testbed::{Chart, Rendered};
use serde_json::{Value, json};

fn render(chart: &Chart, zones: &str, from_node: bool) -> Rendered {
    let from_node = if from_node { ", zones: {fromNode: true}" } else { "" };
    chart.render(&format!("{{pools: [{{selector: a=b, zones: '{zones}'}}]{from_node}}}")).unwrap()
}

/// Returns the variable of ilb with this name.
fn variable(rendered: &Rendered, name: &str) -> Option<Value> {
    let pod = rendered.pod().unwrap();
    let containers =
        ["initContainers", "containers"].into_iter().filter_map(|key| pod["spec"][key].as_array()).flatten();
    let mut variables =
        containers.filter(|container| container["name"] == "ilb").filter_map(|c| c["env"].as_array()).flatten();
    variables.find(|variable| variable["name"] == name).cloned()
}

/// Returns the rules by which nodes are read.
fn rights(rendered: &Rendered) -> Vec<Value> {
    let rules = rendered.all("ClusterRole").into_iter().filter_map(|role| role["rules"].as_array()).flatten();
    rules.filter(|rule| rule["resources"].as_array().is_some_and(|of| of.contains(&json!("nodes")))).cloned().collect()
}

#[test]
#[ignore = "needs the testbed: make test"]
fn the_zone_of_the_pod_is_looked_for_only_where_a_pool_prefers_its_own() {
    let chart = Chart::new().unwrap();
    for chart in [chart.clone(), chart.with_helm_3().unwrap()] {
        let off = render(&chart, "off", false);
        assert_eq!((variable(&off, "ILB_ZONE"), rights(&off)), (None, Vec::new()));
        let prefer = render(&chart, "prefer", false);
        let zone = variable(&prefer, "ILB_ZONE").unwrap();
        assert_eq!(zone["valueFrom"]["fieldRef"]["fieldPath"], "metadata.labels['topology.kubernetes.io/zone']");
        assert_eq!((variable(&prefer, "ILB_ZONE_OF_NODE"), rights(&prefer)), (None, Vec::new()));
        let from_node = render(&chart, "prefer", true);
        assert_eq!(variable(&from_node, "ILB_ZONE_OF_NODE").unwrap()["value"], "true");
        assert_eq!(rights(&from_node), [json!({"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]})]);
        let name = format!("my-lb-ilb-{}-zone", Chart::NAMESPACE);
        let bindings = from_node.all("ClusterRoleBinding");
        assert!(bindings.iter().any(|binding| binding["roleRef"]["name"] == name.as_str()));
    }
}
