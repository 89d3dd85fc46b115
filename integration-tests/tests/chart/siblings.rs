//! Several pods balance as one: what that takes is there with several pods, and with one there is nothing of it.

use ilb_testbed::{Chart, Rendered};
use serde_json::{Value, json};

/// Values with several pods, or with as many as another program wants.
const SEVERAL: [&str; 5] = [
    "replicaCount: 2",
    "replicaCount: null",
    "autoscaling: {enabled: true}",
    "autoscaling: {enabled: true, minReplicas: 1, maxReplicas: 2}",
    "kind: DaemonSet",
];

/// Values with one pod, or with several that balance each by itself.
const NONE: [&str; 5] = [
    "replicaCount: 1",
    "replicaCount: 0",
    "autoscaling: {enabled: true, minReplicas: 1, maxReplicas: 1}",
    "replicaCount: 3, siblings: {enabled: false}",
    "kind: DaemonSet, siblings: {enabled: false}",
];

fn render(chart: &Chart, more: &str) -> Rendered {
    chart.render(&format!("{{env: {{relay: a=b}}, networkPolicy: {{enabled: true}}, {more}}}")).unwrap()
}

fn charts() -> [Chart; 2] {
    let chart = Chart::new().unwrap();
    [chart.clone(), chart.with_helm_3().unwrap()]
}

/// Returns the Service of the siblings, and the number of rules of the role and of the network policy that are for them.
fn parts(rendered: &Rendered) -> (Option<Value>, usize, usize) {
    let is_it = |service: &&Value| service["metadata"]["name"] == "my-lb-ilb-siblings";
    let service = rendered.all("Service").into_iter().find(is_it).cloned();
    let role = rendered.only("Role").unwrap();
    let rules = role["rules"].as_array().unwrap().iter();
    let rights = rules.filter(|rule| rule["resources"] == json!(["endpointslices"])).count();
    let policy = &rendered.only("NetworkPolicy").unwrap()["spec"];
    let own = json!({"podSelector": policy["podSelector"]});
    let rules = |way: &str, peers: &str| {
        let rules = policy[way].as_array().unwrap().iter();
        let is_it =
            |rule: &&Value| rule[peers] == json!([own]) && rule["ports"] == json!([{"port": 8081, "protocol": "TCP"}]);
        rules.filter(is_it).count()
    };
    (service, rights, rules("ingress", "from") + rules("egress", "to"))
}

#[test]
#[ignore = "needs the testbed: make test"]
fn several_pods_find_and_reach_each_other() {
    for chart in charts() {
        for values in SEVERAL {
            let rendered = render(&chart, values);
            let (service, rights, rules) = parts(&rendered);
            let service = service.unwrap_or_else(|| panic!("{values}: no Service"));
            assert_eq!((rights, rules), (1, 2), "{values}");
            let spec = &service["spec"];
            assert_eq!((&spec["clusterIP"], &spec["publishNotReadyAddresses"]), (&json!("None"), &json!(true)));
            assert_eq!(spec["ports"][0]["port"], 8081);
            let labels = &rendered.pod().unwrap()["metadata"]["labels"];
            for (key, value) in spec["selector"].as_object().unwrap() {
                assert_eq!(labels[key], *value, "{values}");
            }
            assert!(
                spec["selector"].get("pod-template-hash").is_none(),
                "pods of the release before are siblings, too"
            );
        }
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn one_pod_needs_no_right_no_service_and_no_rule() {
    for chart in charts() {
        for values in NONE {
            assert_eq!(parts(&render(&chart, values)), (None, 0, 0), "{values}");
        }
    }
}

/// A pod that may not list its siblings is degraded only where there may be some.
#[test]
#[ignore = "needs the testbed: make test"]
fn siblings_are_expected_where_there_may_be_several_pods() {
    let chart = Chart::new().unwrap();
    let is_expected = |values: &str| {
        let settings: String = render(&chart, values).all("ConfigMap").iter().map(ToString::to_string).collect();
        !settings.contains("expectSiblings: false")
    };
    assert!(SEVERAL.iter().all(|values| is_expected(values)));
    // Without the exchange it does not matter.
    for values in NONE.iter().filter(|values| !values.contains("siblings")) {
        assert!(!is_expected(values), "{values}");
    }
}

/// The number of pods may change without ending a session, so nothing in a pod may depend on it.
#[test]
#[ignore = "needs the testbed: make test"]
fn the_pods_look_for_siblings_whatever_their_number_is() {
    for chart in charts() {
        let template = |values: &str| render(&chart, values).only("Deployment").unwrap()["spec"]["template"].clone();
        let one = template("replicaCount: 1");
        for values in ["replicaCount: 3", "replicaCount: null", "autoscaling: {enabled: true}"] {
            assert_eq!(template(values), one, "{values}");
        }
        let named = |values: &str| {
            let container = render(&chart, values).container("ilb").unwrap().clone();
            let variables = container["env"].as_array().unwrap().clone();
            let values = variables.iter().filter(|variable| variable["name"] == "ILB_SIBLINGS");
            values.map(|variable| variable["value"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(named("replicaCount: 1"), ["my-lb-ilb-siblings"]);
        assert!(named("replicaCount: 3, siblings: {enabled: false}").is_empty());
        // Releases before the same backends can be told of each other.
        let both = "ilb: {extraEnv: [{name: ILB_SIBLINGS, value: 'my-lb-ilb-siblings,theirs'}]}";
        assert_eq!(named(both), ["my-lb-ilb-siblings,theirs"]);
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn a_right_that_is_there_already_is_not_granted_twice() {
    let chart = Chart::new().unwrap();
    let rules = |pools: &str| {
        let rendered = chart.render(&format!("{{replicaCount: 2, pools: [{pools}]}}")).unwrap();
        let all = [rendered.all("Role"), rendered.all("ClusterRole")].concat();
        let rules = all.iter().flat_map(|role| role["rules"].as_array().unwrap());
        rules.filter(|rule| rule["resources"] == json!(["endpointslices"])).count()
    };
    assert_eq!(rules("{name: a, port: 4001, service: a}"), 1);
    assert_eq!(rules("{name: a, port: 4001, selector: a=b, namespaces: [other]}"), 1);
}
