//! Tests of how pods become backends.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::{
    AddressPolicy, Families, KubeOptions,
    kube::testing::{deleting, not_ready, object, pod, with},
};

fn found(pod: Value, port: &str) -> Findings {
    object::<SlimPod>(pod).backends(&Rules::new(port.parse().unwrap(), KubeOptions::default()))
}

fn state(pod: Value) -> Option<State> {
    found(pod, "5432").candidates.first().map(|c| c.state)
}

fn annotated(key: &str, value: &str) -> Value {
    with(pod(1, 1), [("/metadata/annotations", json!({"other": "x", key: value}))])
}

#[test]
fn readiness_deletion_and_the_end_of_a_pod_become_states() {
    assert_eq!(state(pod(1, 1)), Some(State::Ready));
    assert_eq!(state(not_ready(1, 1)), Some(State::NotReady));
    assert_eq!(state(deleting(1, 1)), Some(State::Draining));
    assert_eq!(state(with(pod(1, 1), [("/status/phase", "Pending".into())])), Some(State::NotReady));
    for phase in ["Succeeded", "Failed"] {
        assert_eq!(state(with(pod(1, 1), [("/status/phase", phase.into())])), None);
        assert_eq!(state(with(deleting(1, 1), [("/status/phase", phase.into())])), None);
    }
}

#[rstest]
#[case(json!({}), None)]
#[case(json!({"containerStatuses": null}), None)]
#[case(json!({"containerStatuses": [{}, {"restartCount": null}]}), Some(0))]
#[case(json!({"containerStatuses": [{"restartCount": 3}, {"restartCount": 2}], "initContainerStatuses": [{"restartCount": 1}]}), Some(6))]
#[case(json!({"containerStatuses": [{"restartCount": -1}, {"restartCount": 99_999}]}), Some(u16::MAX))]
fn the_restarts_of_all_containers_are_added_up(#[case] part: Value, #[case] restarts: Option<u16>) {
    let mut pod = pod(1, 1);
    for (name, value) in part.as_object().unwrap() {
        pod["status"][name] = value.clone();
    }
    assert_eq!(found(pod, "5432").candidates[0].restarts, restarts);
}

#[rstest]
#[case(json!({}))]
#[case(json!({"metadata": null, "spec": null, "status": null}))]
#[case(json!({"metadata": {"annotations": null, "labels": null}, "status": {"conditions": null, "podIP": ""}}))]
#[case(json!({"spec": {"containers": null}, "status": {"podIPs": [{}], "podIP": null}}))]
#[case(json!({"spec": {"containers": [{"ports": null}, {}], "initContainers": null}}))]
fn a_pod_with_few_fields_is_no_backend_and_no_error(#[case] pod: Value) {
    let findings = found(pod, "db");
    assert!(findings.candidates.is_empty());
    assert_eq!(findings.complaint, None);
}

#[test]
fn the_fields_that_a_watch_needs_survive_slimming() {
    let pod: SlimPod = object(pod(7, 9));
    assert_eq!(
        (pod.meta.name(), pod.meta.identity(), pod.meta.resource_version.as_deref()),
        ("pod-7", "uid-7", Some("9"))
    );
}

#[rstest]
#[case("db", Some(5432))]
#[case("5433", Some(5433))]
#[case("sidecar", Some(1))]
#[case("setup", None)]
#[case("dns", None)]
#[case("other", None)]
fn a_port_is_found_by_its_number_or_by_its_name_among_the_tcp_ports(#[case] port: &str, #[case] number: Option<u16>) {
    let spec = json!({
        "containers": [{}, {"ports": [
            {"containerPort": 80},
            {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            {"name": "db", "containerPort": 5432, "protocol": "TCP"},
        ]}],
        "initContainers": [
            {"ports": [{"name": "setup", "containerPort": 2}]},
            {"restartPolicy": "Always", "ports": [{"name": "sidecar", "containerPort": 1}]},
        ],
    });
    let findings = found(with(pod(1, 1), [("/spec", spec)]), port);
    assert_eq!(findings.candidates.first().map(|c| c.address.port()), number);
    assert_eq!(findings.complaint.is_some(), number.is_none());
}

#[rstest]
#[case(0)]
#[case(70_000)]
#[case(-1)]
fn a_number_that_is_no_port_is_named_in_a_complaint(#[case] number: i64) {
    let ports = json!([{"name": "db", "containerPort": number}, {"name": "admin", "containerPort": 80}]);
    let pod = with(pod(1, 1), [("/spec/containers/0/ports", ports)]);
    let findings = found(pod.clone(), "db");
    assert!(findings.candidates.is_empty());
    assert_eq!(findings.complaint.unwrap(), format!("the port named db is {number}, which is not 1 to 65535"));
    let findings = found(pod, "admin");
    assert_eq!((findings.candidates.len(), findings.complaint), (1, None));
}

#[test]
fn an_address_that_is_none_is_named_in_a_complaint() {
    let findings = found(with(pod(1, 1), [("/status/podIP", "nowhere".into())]), "5432");
    assert!(findings.candidates.is_empty());
    assert_eq!(findings.complaint.unwrap(), "its address \"nowhere\" is not an IP address");
}

#[test]
fn an_address_outside_the_allowed_networks_is_no_matter_where_the_pod_has_another() {
    let pod = with(pod(1, 1), [("/status/podIPs", json!([{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]))]);
    let policy = AddressPolicy::default().allow_only(["10.0.0.0/8".parse().unwrap()]);
    let rules = Rules::new(5432.into(), KubeOptions::default().with_addresses(policy));
    let findings = object::<SlimPod>(pod).backends(&rules);
    assert_eq!((findings.candidates.len(), findings.complaint), (1, None));
}

#[rstest]
#[case(Families::PreferIpv4, "10.0.0.1:5432")]
#[case(Families::PreferIpv6, "[fd00::1]:5432")]
fn a_pod_with_both_families_is_one_backend(#[case] families: Families, #[case] address: &str) {
    let pod = with(pod(1, 1), [("/status/podIPs", json!([{"ip": "fd00::1"}, {"ip": "10.0.0.1"}]))]);
    let rules = Rules::new(5432.into(), KubeOptions::default().with_families(families));
    let candidates = object::<SlimPod>(pod).backends(&rules).candidates;
    assert_eq!(candidates.iter().map(|c| c.address.to_string()).collect::<Vec<_>>(), [address]);
}

#[rstest]
#[case("3", 3)]
#[case(" 16 ", 16)]
#[case("0", 1)]
#[case("-7", 1)]
#[case("1000", 16)]
#[case("99999999999999999999", 16)]
#[case("-99999999999999999999", 1)]
fn a_capacity_that_is_a_number_is_used_within_its_range(#[case] text: &str, #[case] shares: u8) {
    let findings = found(annotated(CAPACITY_ANNOTATION, text), "5432");
    assert_eq!((findings.candidates[0].capacity.get(), findings.complaint), (shares, None));
}

#[rstest]
#[case(CAPACITY_ANNOTATION, "much")]
#[case(CAPACITY_ANNOTATION, "1.5")]
#[case(CAPACITY_ANNOTATION, "")]
#[case(DRAIN_ANNOTATION, "maybe")]
#[case(DRAIN_ANNOTATION, "1")]
#[case(MAX_CONNECTIONS_ANNOTATION, "0")]
#[case(MAX_CONNECTIONS_ANNOTATION, "-1")]
#[case(MAX_CONNECTIONS_ANNOTATION, "4294967296")]
#[case(MAX_CONNECTIONS_ANNOTATION, "many")]
fn a_bad_annotation_is_ignored_with_a_complaint(#[case] key: &str, #[case] value: &str) {
    let findings = found(annotated(key, value), "5432");
    assert_eq!((findings.candidates[0].capacity.get(), findings.candidates[0].state), (1, State::Ready));
    assert_eq!(findings.candidates[0].max_connections, None);
    assert!(findings.complaint.unwrap().contains(&format!("{key}={value:?}")));
}

#[test]
fn a_maximum_of_connections_is_that_of_the_annotation() {
    let findings = found(annotated(MAX_CONNECTIONS_ANNOTATION, " 90 "), "5432");
    assert_eq!((findings.candidates[0].max_connections, findings.complaint), (Some(90), None));
    assert_eq!(found(pod(1, 1), "5432").candidates[0].max_connections, None);
}

#[test]
fn the_text_of_a_pod_is_quoted_and_shortened_in_a_complaint() {
    let complaint =
        found(annotated(CAPACITY_ANNOTATION, &format!("\n\u{1b}[31m{}", "x".repeat(1000))), "5432").complaint.unwrap();
    assert!(complaint.len() < 150 && !complaint.contains(['\n', '\u{1b}']), "{complaint}");
}

#[test]
fn a_pod_that_an_operator_drains_is_draining_and_no_last_resort() {
    for (text, state) in [("true", State::Draining), ("True", State::Draining), ("false", State::Ready)] {
        assert_eq!(found(annotated(DRAIN_ANNOTATION, text), "5432").candidates[0].state, state);
    }
    let drained = with(deleting(1, 1), [("/metadata/annotations", json!({DRAIN_ANNOTATION: "true"}))]);
    assert!(!found(drained, "5432").candidates[0].last_resort);
    assert!(found(deleting(1, 1), "5432").candidates[0].last_resort);
}

#[test]
fn the_zone_is_the_pods_label_where_it_is_one() {
    let zone = |zone: &str| {
        let pod = with(pod(1, 1), [("/metadata/labels", json!({"app": "a", "topology.kubernetes.io/zone": zone}))]);
        found(pod, "5432").candidates[0].zone.as_ref().map(ToString::to_string)
    };
    assert_eq!(zone("eu-1a").as_deref(), Some("eu-1a"));
    assert_eq!(zone("`evil`"), None);
}

#[rstest]
#[case("127.0.0.1")]
#[case("169.254.169.254")]
#[case("::1")]
#[case("::ffff:127.0.0.1")]
#[case("224.0.0.1")]
#[case("0.0.0.0")]
fn an_address_that_is_not_another_hosts_is_refused_with_a_complaint(#[case] ip: &str) {
    let findings = found(with(pod(1, 1), [("/status/podIP", ip.into())]), "5432");
    assert!(findings.candidates.is_empty());
    assert!(findings.complaint.unwrap().contains("cannot be a backend"));
}

#[test]
fn a_backend_has_the_names_of_its_pod_and_node_unless_they_are_no_names() {
    let named = with(pod(1, 1), [("/metadata/namespace", "apps".into()), ("/spec/nodeName", "node-1".into())]);
    let pod_of = |pod| found(pod, "5432").candidates.remove(0).pod;
    let pod = pod_of(named.clone()).unwrap();
    assert_eq!((pod.namespace(), pod.name(), pod.node()), ("apps", "pod-1", Some("node-1")));
    assert_eq!(pod_of(with(named.clone(), [("/spec/nodeName", "`id`".into())])).unwrap().node(), None);
    assert_eq!(pod_of(with(named, [("/metadata/name", "a\nb".into())])), None);
}
