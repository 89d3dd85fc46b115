//! Tests of the checks of what Traefik lists.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::{Member, TcpPool};

fn configuration() -> Configuration {
    let mut configuration = Configuration::default();
    TcpPool::new("pool".parse().unwrap(), "tcp".parse().unwrap())
        .member(Member::new("10.0.0.1:1".parse().unwrap(), 1))
        .member(Member::new("[::1]:1".parse().unwrap(), 1))
        .add_to(&mut configuration);
    configuration
}

/// Returns what Traefik lists while [`configuration`] is in force.
fn listed() -> Value {
    let server = |address: &str| json!({"loadBalancer": {"servers": [{"address": address}]}, "status": "enabled", "serverStatus": {address: "UP"}});
    let marker = at_rest(Revision::from(&configuration()).name());
    json!({
        "tcpRouters": {"pool@rest": {"status": "enabled"}},
        "tcpServices": {
            "pool@rest": {"weighted": {}, "status": "enabled"},
            "pool.10-0-0-1-1@rest": server("10.0.0.1:1"),
            "pool.--1-1@rest": server("[::1]:1"),
            marker: {"loadBalancer": {}, "status": "enabled"},
        },
    })
}

/// Returns the fault of the only router.
fn check(listed: &Value, version: &str) -> Result<(), Error> {
    let process = Process { version: version.into(), start_date: "then".into() };
    let (configuration, body) = (configuration(), listed.to_string());
    let snapshot = Snapshot::parse(body.as_bytes())?;
    let findings = snapshot.findings(&configuration, &Revision::from(&configuration), &process)?;
    findings.faults.into_values().next().map_or(Ok(()), Err)
}

#[test]
fn the_configuration_in_force_is_recognised() {
    assert_eq!(check(&listed(), "3.7.15"), Ok(()));
}

#[test]
fn a_disabled_router_is_reported_with_the_reason() {
    let mut listed = listed();
    listed["tcpRouters"]["pool@rest"] = json!({"status": "disabled", "error": ["no such service"]});
    let error = check(&listed, "3.7.15").unwrap_err();
    assert_eq!(error.to_string(), "Traefik disabled router pool: no such service");
}

#[test]
fn a_server_that_was_not_built_is_reported_where_traefik_lists_it() {
    let mut listed = listed();
    listed["tcpServices"]["pool.10-0-0-1-1@rest"]["serverStatus"] = json!({});
    assert_eq!(check(&listed, "3.7.15").unwrap_err().kind(), "servers differ");
    listed["tcpServices"]["pool.10-0-0-1-1@rest"].as_object_mut().unwrap().remove("serverStatus");
    assert_eq!(check(&listed, "3.6.0").unwrap_err().kind(), "servers differ");
    assert_eq!(check(&listed, "3.5.3"), Ok(()));
}

#[test]
fn another_list_of_servers_is_reported_with_the_difference() {
    let mut listed = listed();
    listed["tcpServices"]["pool.10-0-0-1-1@rest"]["loadBalancer"]["servers"] = json!([{"address": "10.0.0.9:1"}]);
    let message = check(&listed, "3.0.4").unwrap_err().to_string();
    assert!(message.contains("missing 10.0.0.1:1, too much 10.0.0.9:1"), "{message}");
}

#[test]
fn a_missing_marker_means_that_another_client_wrote() {
    let mut listed = listed();
    listed["tcpServices"].as_object_mut().unwrap().retain(|name, _| !name.starts_with("rev-"));
    assert_eq!(check(&listed, "3.7.15").unwrap_err().kind(), "overwritten");
}

#[rstest]
#[case("3.5.3", false)]
#[case("3.6.0", true)]
#[case("v3.10.1", true)]
#[case("4.0.0-rc1", true)]
#[case("dev", false)]
fn server_status_is_expected_from_3_6_on(#[case] version: &str, #[case] expected: bool) {
    let process = Process { version: version.into(), start_date: "then".into() };
    assert_eq!(process.server_proof() == ServerProof::Built, expected);
}
