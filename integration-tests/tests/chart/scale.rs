//! Several pods: where they run, how they are replaced and how they are scaled.

use ilb_testbed::Chart;
use serde_json::json;

#[test]
#[ignore = "needs the testbed: make test"]
fn a_rollout_adds_a_pod_before_it_takes_one_away() {
    let rendered = Chart::new().unwrap().render("env: {relay: a=b}").unwrap();
    let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}});
    assert_eq!(rendered.only("Deployment").unwrap()["spec"]["strategy"], strategy);
}

#[test]
#[ignore = "needs the testbed: make test"]
fn a_budget_exists_for_more_than_one_pod_only() {
    let chart = Chart::new().unwrap();
    let budgets = |values: &str| chart.render(values).unwrap().all("PodDisruptionBudget").len();
    assert_eq!(budgets("{env: {relay: a=b}}"), 0, "it would keep a node from ever being drained");
    assert_eq!(budgets("{env: {relay: a=b}, replicaCount: 2}"), 1);
    assert_eq!(budgets("{env: {relay: a=b}, autoscaling: {enabled: true}}"), 1);
    assert_eq!(budgets("{env: {relay: a=b}, autoscaling: {enabled: true, minReplicas: 1}}"), 0);
    assert_eq!(budgets("{env: {relay: a=b}, replicaCount: null}"), 1, "how many there are is up to the autoscaler");
    let rendered = chart.render("{env: {relay: a=b}, replicaCount: 2}").unwrap();
    let budget = &rendered.only("PodDisruptionBudget").unwrap()["spec"];
    assert_eq!((&budget["maxUnavailable"], &budget["unhealthyPodEvictionPolicy"]), (&json!(1), &json!("AlwaysAllow")));
}

#[test]
#[ignore = "needs the testbed: make test"]
fn scaling_by_itself_never_ends_sessions_and_looks_at_traefik_alone() {
    let rendered = Chart::new().unwrap().render("{env: {relay: a=b}, autoscaling: {enabled: true}}").unwrap();
    let scaler = &rendered.only("HorizontalPodAutoscaler").unwrap()["spec"];
    assert_eq!(scaler["behavior"]["scaleDown"]["selectPolicy"], "Disabled");
    assert_eq!(scaler["metrics"][0]["containerResource"]["container"], "traefik");
    assert!(
        rendered.only("Deployment").unwrap()["spec"].get("replicas").is_none(),
        "an upgrade would undo the scaling"
    );
    let requests = &rendered.container("traefik").unwrap()["resources"]["requests"];
    assert!(requests["cpu"].is_string(), "a share of nothing is nothing");
}

#[test]
#[ignore = "needs the testbed: make test"]
fn a_budget_can_say_how_many_pods_have_to_stay() {
    let values = "{env: {relay: a=b}, replicaCount: 4, podDisruptionBudget: {minAvailable: 3}}";
    let rendered = Chart::new().unwrap().render(values).unwrap();
    let budget = &rendered.only("PodDisruptionBudget").unwrap()["spec"];
    assert_eq!((&budget["minAvailable"], &budget["maxUnavailable"]), (&json!(3), &json!(null)));
}

#[test]
#[ignore = "needs the testbed: make test"]
fn connections_can_be_what_is_scaled_by() {
    let values = "{env: {relay: a=b}, autoscaling: {enabled: true, targetCPUUtilizationPercentage: null, targetConnections: 2000}}";
    let rendered = Chart::new().unwrap().render(values).unwrap();
    let metric = json!({"type": "Pods", "pods": {
        "metric": {"name": "ilb_connections"}, "target": {"type": "AverageValue", "averageValue": "2000"},
    }});
    assert_eq!(rendered.only("HorizontalPodAutoscaler").unwrap()["spec"]["metrics"], json!([metric]));
}

/// KEDA, Argo Rollouts and others set the number themselves.
#[test]
#[ignore = "needs the testbed: make test"]
fn no_number_of_pods_is_in_the_release_if_another_program_sets_it() {
    let chart = Chart::new().unwrap();
    let values = "{env: {relay: a=b}, replicaCount: null}";
    let rendered = chart.render(values).unwrap();
    assert!(rendered.only("Deployment").unwrap()["spec"].get("replicas").is_none());
    let notes = chart.notes(values).unwrap();
    assert!(!notes.contains(" pod: "), "{notes}");
    let notes = chart.notes("{env: {relay: a=b}, replicaCount: 0}").unwrap();
    assert!(notes.contains("replicaCount=0: no pod runs"), "{notes}");
}

#[test]
#[ignore = "needs the testbed: make test"]
fn pods_are_spread_over_nodes_by_the_labels_that_they_have() {
    let chart = Chart::new().unwrap();
    let rendered = chart.render("{env: {relay: a=b}, nameOverride: other}").unwrap();
    let constraint = &rendered.pod().unwrap()["spec"]["topologySpreadConstraints"][0];
    let labels = &rendered.pod().unwrap()["metadata"]["labels"];
    for (key, value) in constraint["labelSelector"]["matchLabels"].as_object().unwrap() {
        assert_eq!(labels[key], *value);
    }
    assert_eq!(constraint["matchLabelKeys"], json!(["pod-template-hash"]), "the pods that go do not count");
    let own = "{env: {relay: a=b}, topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {x: z}}}]}";
    let rendered = chart.render(own).unwrap();
    let constraint = &rendered.pod().unwrap()["spec"]["topologySpreadConstraints"][0];
    assert_eq!(constraint["labelSelector"], json!({"matchLabels": {"x": "z"}}));
}
