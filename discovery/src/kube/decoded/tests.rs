//! Tests of what one object can do to the others.

use std::sync::Arc;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::{
    KubeOptions,
    kube::{index::complete_set, pod::SlimPod, slice::SlimSlice, testing::with},
};

/// Returns a pod with a value in each field that is read.
fn pod(last: u8) -> Value {
    let name = format!("good-{last}");
    json!({
        "metadata": {
            "name": name, "uid": name, "resourceVersion": "7", "deletionTimestamp": null,
            "annotations": {"ilb.dev/capacity": "3", "ilb.dev/drain": "false"},
            "labels": {"topology.kubernetes.io/zone": "eu-1a"},
        },
        "spec": {
            "containers": [{"restartPolicy": null, "ports": [{"name": "db", "containerPort": 5432, "protocol": "TCP"}]}],
            "initContainers": [{"restartPolicy": "Always", "ports": [{"name": "admin", "containerPort": 9000}]}],
        },
        "status": {
            "phase": "Running", "podIP": format!("10.0.0.{last}"), "podIPs": [{"ip": format!("10.0.0.{last}")}],
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    })
}

/// Returns a slice with a value in each field that is read.
fn slice(last: u8) -> Value {
    let name = format!("good-{last}");
    json!({
        "metadata": {"name": name, "uid": name, "resourceVersion": "7"},
        "ports": [{"name": "db", "port": 5432, "protocol": "TCP"}],
        "endpoints": [{
            "addresses": [format!("10.0.0.{last}")],
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "targetRef": {"uid": name},
            "zone": "eu-1a",
        }],
    })
}

/// Returns the pointers to all values in `value`, itself included.
fn pointers(value: &Value) -> Vec<String> {
    let below = |key: &str, value: &Value| -> Vec<String> {
        let key = key.replace('~', "~0").replace('/', "~1");
        pointers(value).into_iter().map(|rest| format!("/{key}{rest}")).collect()
    };
    let mut all = vec![String::new()];
    match value {
        Value::Object(fields) => all.extend(fields.iter().flat_map(|(key, value)| below(key, value))),
        Value::Array(items) => {
            all.extend(items.iter().enumerate().flat_map(|(at, value)| below(&at.to_string(), value)));
        }
        _ => {}
    }
    all
}

fn field_of(object: &Value) -> impl Strategy<Value = String> {
    proptest::sample::select(pointers(object))
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        (-70_000..70_000_i64).prop_map(Value::from),
        "\\PC{0,60}".prop_map(Value::from),
        prop_oneof![Just("True"), Just("10.0.0.9"), Just("fd00::9"), Just("db"), Just("good-1")].prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let key = prop_oneof![Just("name"), Just("uid"), Just("ip"), Just("ports"), Just("ready"), Just("other")];
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::vec((key, inner), 0..3)
                .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

fn rules() -> Rules {
    Rules::new("db".parse().unwrap(), KubeOptions::default())
}

fn addresses<K: Object>(objects: Vec<Decoded<K>>) -> Vec<String> {
    let set = complete_set(&[(objects, Arc::default())], &rules());
    set.iter().map(|backend| backend.address().to_string()).collect()
}

/// Asserts that an object with this value in this place takes none of the others away, in a list and in a watch.
fn assert_left_alone<K: Object>(good: fn(u8) -> Value, pointer: &str, value: Value) -> Result<(), TestCaseError> {
    let mut bad = with(good(2), [("/metadata/name", "bad".into()), ("/metadata/uid", "bad".into())]);
    *bad.pointer_mut(pointer).unwrap() = value;

    let list = json!({"metadata": {"resourceVersion": "9"}, "items": [good(1), bad, good(3)]});
    let page = page::<K>(list.to_string().as_bytes()).unwrap();
    let items = page.items.unwrap();
    let left_out = matches!(items[1], Decoded::Unusable { .. });
    if left_out {
        let findings = items[1].backends(&rules());
        prop_assert!(findings.candidates.is_empty());
        prop_assert!(findings.complaint.unwrap().starts_with("left out: "));
        if !"/metadata/name".starts_with(pointer) {
            prop_assert_eq!(items[1].meta().name(), "bad");
        }
    }
    let found = addresses(items);
    for address in ["10.0.0.1:5432", "10.0.0.3:5432"] {
        prop_assert!(found.contains(&address.to_owned()), "{found:?}");
    }

    let event = json!({"type": "MODIFIED", "object": bad}).to_string();
    match event_of::<K>(&event) {
        Ok(WatchEvent::Modified(object)) => prop_assert_eq!(matches!(object, Decoded::Unusable { .. }), left_out),
        Ok(other) => prop_assert!(false, "{other:?}"),
        // Then a list shows what there is.
        Err(_) => prop_assert!("/metadata/uid".starts_with(pointer), "{pointer}"),
    }
    Ok(())
}

fn event_of<K: Object>(json: &str) -> serde_json::Result<WatchEvent<Decoded<K>>> {
    event(json.as_bytes())
}

proptest! {
    #[test]
    fn a_pod_with_any_value_in_any_field_takes_no_other_pod_away(pointer in field_of(&pod(2)), value in any_json()) {
        assert_left_alone::<SlimPod>(pod, &pointer, value)?;
    }

    #[test]
    fn a_slice_with_any_value_in_any_field_takes_no_other_slice_away(pointer in field_of(&slice(2)), value in any_json()) {
        assert_left_alone::<SlimSlice>(slice, &pointer, value)?;
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(\\{|\\}|\\[|\\]|,|:|\"items\"|\"metadata\"|\"type\"|\"ADDED\"|\"object\"|1|null){0,20}|\\PC{0,40}") {
        let _ = page::<SlimPod>(text.as_bytes());
        let _ = event::<SlimSlice>(text.as_bytes());
    }
}

#[test]
fn the_problem_names_the_field_and_stays_on_a_line() {
    let bad = with(pod(2), [("/status/podIPs/0/ip", json!({"\n": "x".repeat(1000)}))]);
    let list = json!({"metadata": {}, "items": [bad]}).to_string();
    let items = page::<SlimPod>(list.as_bytes()).unwrap().items.unwrap();
    let Decoded::Unusable { meta, problem } = &items[0] else { panic!("{items:?}") };
    assert_eq!((meta.name(), meta.identity(), meta.resource_version.as_deref()), ("good-2", "good-2", Some("7")));
    assert!(problem.starts_with("invalid type: map, expected a string at line 1"), "{problem}");
    assert!(problem.ends_with(", near \"ip\""), "{problem}");
    let long = with(pod(2), [("/spec", "\u{1b}\n".repeat(1000).into())]);
    let list = json!({"metadata": {}, "items": [long]}).to_string();
    let items = page::<SlimPod>(list.as_bytes()).unwrap().items.unwrap();
    let problem = items[0].backends(&rules()).complaint.unwrap();
    assert!(problem.len() < 250 && !problem.contains(['\n', '\u{1b}']), "{problem}");
}

#[test]
fn metadata_is_read_as_far_as_it_can_be() {
    let bad = with(pod(2), [("/metadata/uid", 5.into()), ("/metadata/labels", json!([]))]);
    let meta = readable_meta(&bad.to_string());
    assert_eq!((meta.name.as_deref(), meta.uid), (Some("good-2"), None));
    for broken in ["5", "{\"metadata\": 5}", "[]", "nothing"] {
        assert_eq!(readable_meta(broken).identity(), "");
    }
}

#[rstest]
#[case(r#"{"a":"b","c":["#, Some("c"))]
#[case(r#"{"a":{"b":1},"#, Some("b"))]
#[case("[", None)]
#[case(r#"{"a":"secret\":"#, None)]
fn only_the_key_before_a_place_is_shown(#[case] before: &str, #[case] key: Option<&str>) {
    assert_eq!(last_key(before), key);
}
