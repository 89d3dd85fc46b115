//! The status document after events of a loop, and its schema.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use ilb_connections::Ability;
use ilb_controller::ClosingFacts;
use ilb_discovery::{Backend, BackendSet, Complaint, SourceInfo, SourceKind, State};
use ilb_reconciler::{
    ClosingPolicy, Decision, LeastConnections, Method, Pacing,
    closing::{ClosingState, Role, Why},
    decision::{Evidence, Standing},
    least_connections::{Count, EndedBy, Ending},
    siblings::ReplicaId,
};
use ilb_siblings::SiblingEvent;
use ilb_traefik_client::fleet::InstanceState;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::advance;

use crate::observe::insight::{
    tests::{
        Reporter, address, insight, least_connections, push, round_robin, sample, set, status, unreachable_api_server,
        unreachable_traefik,
    },
    words::{
        BackendState, BalancingMethod, CountingState, DiscoveryState, EventKind, Level, PushReason, PushResult,
        PushState, Severity, TraefikState,
    },
};

#[tokio::test(start_paused = true)]
async fn a_backend_shows_its_state_its_connections_its_weight_and_why() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready, State::Ready, State::Draining, State::NotReady]);
    pool.discovered(&backends);
    pool.sampled(&sample(&[7, 4, 9]));
    push(&pool, &least_connections(&backends, &[7, 4, 9]), &backends, "one");
    let status = status(&insight);
    let shown = |field: &str| -> Vec<Value> {
        status["pools"][0]["backends"].as_array().unwrap().iter().map(|backend| backend[field].clone()).collect()
    };
    assert_eq!(shown("state"), ["ready", "ready", "draining", "not ready"]);
    assert_eq!(shown("established"), [7, 4, 9, 0]);
    assert_eq!(shown("head_start"), [json!(0), json!(3), Value::Null, Value::Null]);
    assert_eq!(
        shown("why"),
        [
            "as full as the fullest: round robin",
            "less full: gets the next 3 connections",
            "leaving: keeps existing connections",
            "not ready: keeps existing connections"
        ]
    );
    let ratio = status["pools"][0]["imbalance"]["ratio"].as_f64().unwrap();
    assert!((ratio - 1.5 / 5.5).abs() < 1e-9, "the draining backend does not count: {ratio}");
}

/// Returns a decision by which the last backend, which has the fewest connections, is compared with the others: all that it
/// got ended at once.
fn comparing_the_last(backends: &BackendSet, connections: &[u32]) -> Arc<Decision> {
    let now = std::time::Instant::now();
    let mut balancer = LeastConnections::new(Pacing::default());
    balancer.set_backends(backends, now);
    let addresses: Vec<_> = backends.iter().map(Backend::address).collect();
    for opened in [connections.to_vec(), vec![8; connections.len()]] {
        let counts = addresses.iter().zip(connections).zip(opened);
        let count = |((address, connections), opened): ((&SocketAddr, &u32), u32)| {
            (*address, Count { connections: *connections, opened, ..Count::default() })
        };
        balancer.sampled(counts.map(count), Duration::ZERO, now);
        let ending = Ending { age: Duration::from_millis(2), received: 9, by: EndedBy::Backend };
        balancer.ended(addresses.last().into_iter().flat_map(|last| [(*last, ending); 8]), now);
    }
    balancer.sampled(addresses.iter().map(|address| (*address, Count::default())), Duration::ZERO, now);
    balancer.decide(now).decision.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_is_compared_with_the_others_is_not_said_to_be_as_full_as_they_are() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready; 3]);
    pool.discovered(&backends);
    pool.sampled(&sample(&[8, 8, 0]));
    push(&pool, &comparing_the_last(&backends, &[8, 8, 0]), &backends, "one");
    let backend = &status(&insight)["pools"][0]["backends"][2];
    assert_eq!(backend["head_start"], 0);
    assert_eq!(backend["why"], "its connections are compared with those of the others: at most an equal share");
}

#[tokio::test(start_paused = true)]
async fn a_head_start_is_used_up_by_new_connections() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready, State::Ready]);
    pool.discovered(&backends);
    pool.sampled(&sample(&[7, 4])); // one is opened on each
    push(&pool, &least_connections(&backends, &[7, 4]), &backends, "one");
    let head_start = || status(&insight)["pools"][0]["backends"][1]["head_start"].clone();
    pool.sampled(&sample(&[7, 4])); // those may have opened before the push took effect
    assert_eq!(head_start(), 3);
    pool.sampled(&sample(&[7, 5]));
    assert_eq!(head_start(), 2);
}

#[tokio::test(start_paused = true)]
async fn suspect_and_failing_backends_are_shown_with_the_evidence_also_while_no_plan_can_be_pushed() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready; 3]);
    pool.discovered(&backends);
    push(&pool, &least_connections(&backends, &[20, 20, 20]), &backends, "one");
    pool.push_failed(&unreachable_traefik());
    let shown = || status(&insight)["pools"][0]["backends"][1].clone();
    for evidence in [Evidence::NoAnswer, Evidence::ClosedProbe] {
        let to = if evidence == Evidence::NoAnswer { Standing::Suspect } else { Standing::Failing };
        pool.standing_changed(address(2), to, Some(evidence.clone()));
        assert_eq!(shown()["state"], to.to_string());
        assert_eq!(shown()["evidence"], evidence.to_string());
    }
    assert_eq!(status(&insight)["pools"][0]["count"]["failing"], 1);
    assert_eq!(shown()["why"], "closes connections at once: at most an equal share of new connections");
    pool.standing_changed(address(2), Standing::Suspect, Some(Evidence::NoAnswer));
    assert_eq!(shown()["why"], "does not answer: left out with the next push");
    for other in [1, 3] {
        pool.standing_changed(address(other), Standing::Failing, Some(Evidence::ClosedProbe));
    }
    assert_eq!(shown()["why"], "does not answer: used because no backend is better");
    let without_it = set(&[State::Ready, State::NotReady, State::Ready]);
    push(&pool, &least_connections(&without_it, &[20, 20, 20]), &without_it, "one");
    assert_eq!(shown()["why"], "does not answer: no new connections until it does");
    pool.standing_changed(address(2), Standing::Failing, Some(Evidence::ClosedProbe));
    assert_eq!(shown()["why"], "closes connections at once: no new connections for now");
    pool.standing_changed(address(2), Standing::State(State::Ready), None);
    assert_eq!((&shown()["state"], &shown()["evidence"]), (&json!("ready"), &json!(null)));
}

#[tokio::test(start_paused = true)]
async fn where_room_is_short_suspect_and_failing_backends_are_the_last_to_be_left_out() {
    let (insight, pool) = insight();
    pool.discovered(&set(&[State::Draining, State::Draining, State::Ready, State::Ready]));
    pool.sampled(&sample(&[9, 9, 9, 0]));
    pool.standing_changed(address(4), Standing::Failing, Some(Evidence::ClosedProbe));
    let shown = |limit| -> Vec<BackendState> {
        let status = insight.read(|facts| facts.status(limit, tokio::time::Instant::now()));
        status.pools[0].backends.iter().map(|backend| backend.state).collect()
    };
    assert_eq!(shown(1), [BackendState::Failing]);
    assert_eq!(shown(3), [BackendState::Draining, BackendState::Draining, BackendState::Failing]);
}

#[tokio::test(start_paused = true)]
async fn without_counts_no_numbers_are_shown() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready]);
    pool.discovered(&backends);
    push(&pool, &least_connections(&backends, &[1]), &backends, "one");
    pool.sampled(&sample(&[1]));
    pool.uncounted("forbidden");
    let status = status(&insight);
    let backend = &status["pools"][0]["backends"][0];
    for field in ["established", "opening", "opened", "closed", "rtt_seconds", "retransmits", "head_start"] {
        assert_eq!(backend[field], Value::Null, "{field}");
    }
    assert_eq!(backend["why"], "round robin: connections cannot be counted");
    assert_eq!(status["pools"][0]["counting"]["state"], "impossible");
}

#[tokio::test(start_paused = true)]
async fn states_are_summed_up_in_words() {
    let (insight, pool) = insight();
    let summary = |at: &str| status(&insight).pointer(at).unwrap()["text"].as_str().unwrap().to_owned();
    assert_eq!(summary("/traefik/summary"), "Not configured yet");
    assert_eq!(summary("/pools/0/discovery/summary"), "Not known yet");
    let backends = set(&[State::Ready, State::Draining]);
    pool.discovered(&backends);
    pool.sampled(&sample(&[1, 2]));
    push(&pool, &round_robin(&backends), &backends, "one");
    assert_eq!(summary("/summary"), "ready: all pools active");
    assert_eq!(summary("/traefik/summary"), "Configuration active for 0 ms");
    assert_eq!(summary("/pools/0/discovery/summary"), "Backends up to date");
    assert_eq!(summary("/pools/0"), "1 ready, 1 draining, 3 connections");
    assert_eq!(summary("/pools/0/balancing"), "Least connections");

    pool.uncounted("forbidden");
    pool.stale(&unreachable_api_server());
    pool.push_failed(&unreachable_traefik());
    advance(Duration::from_secs(9)).await;
    assert!(summary("/summary").starts_with("not ready: pool default: Traefik cannot be reached"));
    assert_eq!(summary("/traefik/summary"), "Configuration not verified: unreachable");
    assert_eq!(status(&insight)["traefik"]["summary"]["detail"], "for 9 s, 1 attempt");
    assert_eq!(summary("/pools/0/discovery/summary"), "Updates missing for 9 s: unreachable");
    assert_eq!(status(&insight)["pools"][0]["balancing"]["detail"], "forbidden");
    assert_eq!(summary("/pools/0"), "1 ready, 1 draining");
}

#[tokio::test(start_paused = true)]
async fn a_pool_without_backends_shows_what_that_means() {
    let (insight, pool) = insight();
    assert_eq!(status(&insight)["pools"][0]["note"], Value::Null, "its backends are not known yet");
    pool.discovered(&set(&[]));
    let note = status(&insight)["pools"][0]["note"].clone();
    assert!(note.as_str().unwrap().contains("new connections are closed at once"), "{note}");
}

#[test]
fn the_published_schema_is_that_of_the_status() {
    let schema: Value = serde_json::from_str(include_str!("../../../../../docs/status.schema.json")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let status = runtime.block_on(async {
        let (insight, pool) = insight();
        let backends = set(&[State::Ready]);
        pool.source.set_info(Some(SourceInfo::new(SourceKind::File, "/backends.yaml")));
        pool.source.set_complaints(vec![Complaint::new("db-0", "refused", true)]);
        pool.discovered(&backends);
        pool.shares_with(ReplicaId::new(2));
        pool.sampled(&sample(&[1]));
        let address = ([10, 0, 1, 2], 8081).into();
        pool.sibling(&SiblingEvent::Heard { address, replica: ReplicaId::new(2) });
        push(&pool, &least_connections(&backends, &[1]), &backends, "one");
        pool.push_started(&round_robin(&backends));
        pool.push_failed(&unreachable_traefik());
        pool.stale(&unreachable_api_server());
        let closing = ClosingPolicy { role: Some(Role::default()), ..ClosingPolicy::default() };
        let other = Reporter::add_closing(&insight, ("other", "other", Method::LeastConnections), closing);
        other.closing(ClosingState::Closing { why: Why::Role, left: 1 }, ClosingFacts::default());
        other.closer(&Ability::Unable("no right".to_owned()));
        pool.instance("a:1", Some(&InstanceState::new(Some(Err(unreachable_traefik())))));
        status(&insight)
    });
    assert_eq!(differences(&schema, &schema, &status, ""), Vec::<String>::new());
}

/// A word that the schema has and an enum has not would be read as `unknown`.
#[test]
fn the_enums_know_all_words_of_the_schema() {
    fn check<T: DeserializeOwned + PartialEq + std::fmt::Debug>(at: &str, unknown: &T) {
        let schema: Value = serde_json::from_str(include_str!("../../../../../docs/status.schema.json")).unwrap();
        let words = schema.pointer(&format!("/$defs/{at}/enum")).unwrap().as_array().unwrap().clone();
        for word in words {
            assert_ne!(&serde_json::from_value::<T>(word.clone()).unwrap(), unknown, "{at}: {word}");
        }
    }
    check("summary/properties/severity", &Severity::Unknown);
    check("pool/properties/level", &Level::Unknown);
    check("pool/properties/severity", &Severity::Unknown);
    check("event/properties/kind", &EventKind::Unknown);
    check("traefik/properties/state", &TraefikState::Unknown);
    check("traefik/properties/push_state", &PushState::Unknown);
    check("push/properties/reason", &PushReason::Unknown);
    check("push/properties/result", &PushResult::Unknown);
    check("pool/properties/method", &BalancingMethod::Unknown);
    check("pool/properties/discovery/properties/state", &DiscoveryState::Unknown);
    check("pool/properties/counting/properties/state", &CountingState::Unknown);
    check("backend/properties/state", &BackendState::Unknown);
}

/// Lists the differences between the schema and the value in fields and types.
fn differences(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str().and_then(|r| r.strip_prefix("#/$defs/")) {
        return differences(root, &root["$defs"][name], value, at);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let tried = choices.iter().map(|choice| differences(root, choice, value, at));
        return tried.min_by_key(Vec::len).unwrap_or_default();
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        several => several.as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
    };
    let is_allowed = |allowed: &&str| *allowed == kind || (*allowed == "integer" && value.is_u64());
    let mut found = Vec::new();
    if !allowed.iter().any(is_allowed) {
        found.push(format!("{at} is {kind}, not {allowed:?}"));
    }
    if let Some(choices) = schema["enum"].as_array().filter(|choices| !choices.contains(value)) {
        found.push(format!("{at} is {value}, not one of {choices:?}"));
    }
    match value {
        Value::Array(items) => {
            let of_each = |item| differences(root, &schema["items"], item, &format!("{at}[]"));
            found.extend(items.iter().flat_map(of_each));
        }
        Value::Object(fields) => {
            let described = schema["properties"].as_object().cloned().unwrap_or_default();
            let missing = described.keys().filter(|name| !fields.contains_key(*name));
            found.extend(missing.map(|name| format!("{at}.{name} is described and missing")));
            for (name, field) in fields {
                match described.get(name) {
                    None => found.push(format!("{at}.{name} is not described")),
                    Some(part) => found.extend(differences(root, part, field, &format!("{at}.{name}"))),
                }
            }
        }
        _ => {}
    }
    found
}

#[tokio::test(start_paused = true)]
async fn a_list_that_is_too_long_keeps_what_is_not_ready_and_what_has_most_connections() {
    let (insight, pool) = insight();
    let backends = set(&[State::Ready, State::Ready, State::Ready, State::Draining, State::Ready]);
    pool.discovered(&backends);
    pool.sampled(&sample(&[7, 4, 9, 1, 2]));
    push(&pool, &least_connections(&backends, &[7, 4, 9, 1, 2]), &backends, "one");
    let shown = |limit| {
        let status = insight.snapshot().status(limit, tokio::time::Instant::now());
        let pool = &status.pools[0];
        assert_eq!(pool.text, "4 ready, 1 draining, 23 connections", "all are counted");
        assert_eq!(pool.backends.len() + pool.omitted, 5);
        pool.backends.iter().map(|backend| (backend.address, backend.weights.len())).collect::<Vec<_>>()
    };
    assert_eq!(shown(3), [(address(1), 1), (address(3), 1), (address(4), 0)]);
    assert_eq!(shown(1), [(address(4), 0)]);
    assert_eq!(shown(5).len(), 5);
    assert_eq!(shown(0), []);
}
