//! Tests of how endpoints become backends.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::{
    KubeOptions,
    kube::testing::{object, with},
};

fn slice() -> Value {
    json!({
        "metadata": {"name": "db-x", "uid": "u", "resourceVersion": "7"},
        "addressType": "IPv4",
        "ports": [
            {"name": "dns", "port": 5432, "protocol": "UDP"},
            {"name": "db", "port": 5432, "protocol": "TCP"},
            {"name": "admin", "port": 9000},
        ],
        "endpoints": [{"addresses": ["10.0.0.1", "10.0.0.99"], "conditions": {}, "zone": "eu-1a"}],
    })
}

fn found(slice: Value, port: &str) -> Findings {
    object::<SlimSlice>(slice).backends(&Rules::new(port.parse().unwrap(), KubeOptions::default()))
}

#[rstest]
#[case("db", Some(5432))]
#[case("admin", Some(9000))]
#[case("9000", Some(9000))]
#[case("dns", None)]
#[case("1", None)]
fn a_port_is_one_that_the_slice_offers_for_tcp(#[case] port: &str, #[case] number: Option<u16>) {
    let findings = found(slice(), port);
    assert_eq!(findings.candidates.first().map(|c| c.address.port()), number);
    assert_eq!(findings.complaint.is_some(), number.is_none());
}

#[rstest]
#[case::typing_error(543_200)]
#[case::negative(-1)]
#[case::zero(0)]
fn a_number_that_is_no_port_is_not_offered_and_named_in_a_complaint(#[case] number: i64) {
    let slice = with(slice(), [("/ports/1/port", number.into())]);
    for port in ["db", "5432"] {
        let findings = found(slice.clone(), port);
        assert!(findings.candidates.is_empty());
        let complaint = format!("the slice offers no TCP port {port}, and its port {number} is not 1 to 65535");
        assert_eq!(findings.complaint.unwrap(), complaint);
    }
    let findings = found(slice, "admin");
    assert_eq!((findings.candidates.len(), findings.complaint), (1, None), "another port of the slice");
}

#[rstest]
#[case::null(Value::Null)]
#[case::empty(json!([]))]
fn a_slice_of_a_service_without_ports_has_every_port_by_its_number(#[case] ports: Value) {
    let slice = with(slice(), [("/ports", ports)]);
    let findings = found(slice.clone(), "5433");
    assert_eq!((findings.candidates[0].address.port(), findings.complaint), (5433, None));
    let findings = found(slice, "db");
    assert!(findings.candidates.is_empty());
    assert_eq!(findings.complaint.unwrap(), "the slice offers no TCP port db");
}

#[test]
fn an_address_that_is_none_is_named_in_a_complaint() {
    let slice = with(slice(), [("/endpoints", json!([{"addresses": ["db.example"]}, {"addresses": ["10.0.0.2"]}]))]);
    let findings = found(slice, "db");
    assert_eq!(findings.candidates.len(), 1);
    assert_eq!(findings.complaint.unwrap(), "the address \"db.example\" of an endpoint is not an IP address");
}

#[rstest]
#[case(json!({}), State::Ready, false)]
#[case(json!({"ready": true}), State::Ready, false)]
#[case(json!({"ready": null, "serving": null, "terminating": null}), State::Ready, false)]
#[case(json!({"ready": false}), State::NotReady, false)]
#[case(json!({"ready": false, "serving": true, "terminating": true}), State::Draining, true)]
#[case(json!({"ready": false, "serving": false, "terminating": true}), State::Draining, false)]
#[case(json!({"ready": true, "terminating": true}), State::Draining, true)]
#[case(json!({"ready": false, "terminating": true}), State::Draining, true)]
fn conditions_become_states(#[case] conditions: Value, #[case] state: State, #[case] last_resort: bool) {
    let slice = with(slice(), [("/endpoints", json!([{"addresses": ["10.0.0.1"], "conditions": conditions}]))]);
    let candidate = &found(slice, "db").candidates[0];
    assert_eq!((candidate.state, candidate.last_resort), (state, last_resort));
}

#[test]
fn the_first_address_of_an_endpoint_and_its_zone_are_used() {
    let candidates = found(slice(), "db").candidates;
    assert_eq!(candidates.iter().map(|c| c.address.to_string()).collect::<Vec<_>>(), ["10.0.0.1:5432"]);
    assert_eq!(candidates[0].zone.as_ref().unwrap().as_str(), "eu-1a");
}

#[rstest]
#[case(json!({}))]
#[case(json!({"metadata": null, "endpoints": null, "ports": null}))]
#[case(json!({"ports": [{}], "endpoints": [{}, {"addresses": null}, {"addresses": []}]}))]
fn a_slice_with_few_fields_has_no_backends_and_is_no_error(#[case] slice: Value) {
    let findings = found(slice, "5432");
    assert!(findings.candidates.is_empty());
    assert_eq!(findings.complaint, None);
}

#[test]
fn an_address_that_is_not_another_hosts_is_refused_with_a_complaint() {
    let slice = with(slice(), [("/endpoints", json!([{"addresses": ["127.0.0.1"]}, {"addresses": ["10.0.0.2"]}]))]);
    let findings = found(slice, "db");
    assert_eq!(findings.candidates.len(), 1);
    assert!(findings.complaint.unwrap().contains("127.0.0.1"));
}

#[test]
fn an_endpoint_has_the_names_of_the_pod_and_the_node_behind_it() {
    let target = json!({"kind": "Pod", "namespace": "apps", "name": "db-0", "uid": "u"});
    let endpoint = json!([{"addresses": ["10.0.0.1"], "targetRef": target, "nodeName": "node-1"}]);
    let named = with(slice(), [("/endpoints", endpoint)]);
    let pod_of = |slice| found(slice, "db").candidates.remove(0).pod;
    let pod = pod_of(named.clone()).unwrap();
    assert_eq!((pod.namespace(), pod.name(), pod.node()), ("apps", "db-0", Some("node-1")));
    let other = with(named, [("/endpoints/0/targetRef/kind", "VirtualMachine".into())]);
    assert_eq!(pod_of(other), None, "it is no pod");
}

#[test]
fn a_source_of_slices_is_described_by_the_name_of_its_service() {
    assert_eq!(SlimSlice::describe(&Selector::equal(SERVICE_LABEL, "db")), (SourceKind::Service, "db".to_owned()));
    let labels: Selector = "app=db".parse().unwrap();
    assert_eq!(SlimSlice::describe(&labels), (SourceKind::Service, "app=db".to_owned()));
}
