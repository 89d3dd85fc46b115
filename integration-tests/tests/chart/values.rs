//! No value is dead and none is undeclared: every documented value changes something, every value in use is documented, and
//! the schema has the same ones.

use std::collections::BTreeSet;

use ilb_testbed::Chart;
use serde_json::Value;

/// Maps that are passed on as they are.
const PASSED_ON: [&str; 10] = [
    "resources",
    "behavior",
    "updateStrategy",
    "podSecurityContext",
    "securityContext",
    "startupProbe",
    "readinessProbe",
    "livenessProbe",
    "config",
    "labels",
];

/// Values that are always refused, which `refusals` tests, the one that switches everything off, which `parent` tests, and
/// the one that matters in a cluster only, which `closing` tests.
const TESTED_ELSEWHERE: [&str; 4] = ["enabled", "hostNetwork", "image.tag_traefik", "closing.checkNamespace"];

#[test]
#[ignore = "needs the testbed: make test"]
fn every_value_is_in_an_example_and_changes_what_is_rendered() {
    let chart = Chart::new().unwrap();
    let mut undocumented: BTreeSet<_> = leaves(&yaml(&chart.file("values.yaml").unwrap())).into_iter().collect();
    undocumented.retain(|path| !TESTED_ELSEWHERE.contains(&path.join(".").as_str()));
    for (name, text) in chart.features().unwrap() {
        let example = yaml(&text);
        let before = chart.render(&text).unwrap().text;
        let declared = leaves(&yaml(&chart.file("values.yaml").unwrap()));
        for path in declared.into_iter().filter(|path| at(&example, path).is_some()) {
            let mut without = example.clone();
            remove(&mut without, &path);
            // A value that cannot be left out does change something.
            let same = chart.render(&without.to_string()).is_ok_and(|rendered| rendered.text == before);
            let is_default = at(&yaml(&chart.file("values.yaml").unwrap()), &path) == at(&example, &path);
            assert!(!same || is_default, "{name}: {} reaches nothing", path.join("."));
            if !same {
                undocumented.remove(&path);
            }
        }
    }
    let missing: Vec<_> = undocumented.iter().map(|path| path.join(".")).collect();
    assert!(missing.is_empty(), "no example in chart/ci shows that these do something: {missing:?}");
}

#[test]
#[ignore = "needs the testbed: make test"]
fn every_value_that_a_template_uses_is_declared() {
    let chart = Chart::new().unwrap();
    let values = yaml(&chart.file("values.yaml").unwrap());
    let mut used = BTreeSet::new();
    for text in templates(&chart) {
        for rest in text.split(".Values.").skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.').unwrap_or(rest.len());
            used.insert(rest[..end].trim_end_matches('.').to_owned());
        }
    }
    assert!(used.len() > 50, "{used:?}");
    for path in used {
        let path: Vec<_> = path.split('.').map(str::to_owned).collect();
        // Everything is allowed in a map that is passed on as it is.
        let known = (1..=path.len()).all(|n| at(&values, &path[..n]).is_some());
        assert!(known, "{} is used and not in values.yaml", path.join("."));
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn the_schema_knows_the_values_and_no_others() {
    let chart = Chart::new().unwrap();
    let schema: Value = serde_json::from_str(&chart.file("values.schema.json").unwrap()).unwrap();
    compare(&schema, &yaml(&chart.file("values.yaml").unwrap()), "");
}

fn compare(schema: &Value, values: &Value, path: &str) {
    let Some(properties) = schema["properties"].as_object() else { return };
    // A parent chart shares more than what is known here.
    assert!(path == ".global" || schema["additionalProperties"] == false, "{path} lets typos pass");
    // Only the schema has the keys of a map that is empty by default, such as the timing of a probe.
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let known: BTreeSet<_> = properties.keys().cloned().collect();
    let last = path.rsplit('.').next().unwrap();
    if PASSED_ON.contains(&last) || keys(values).is_empty() {
        assert!(keys(values).is_subset(&known), "{path}");
        return;
    }
    assert_eq!(keys(values), known, "at {path:?}");
    for (key, value) in values.as_object().unwrap() {
        compare(&properties[key], value, &format!("{path}.{key}"));
    }
}

/// Returns the paths of the settable values: those that are no maps, and the maps that are passed on as they are.
pub(crate) fn leaves(values: &Value) -> Vec<Vec<String>> {
    let Some(map) = values.as_object().filter(|map| !map.is_empty()) else { return vec![Vec::new()] };
    let mut all = Vec::new();
    for (key, value) in map {
        if PASSED_ON.contains(&key.as_str()) {
            all.push(vec![key.clone()]);
            continue;
        }
        all.extend(leaves(value).into_iter().map(|rest| [vec![key.clone()], rest].concat()));
    }
    all
}

pub(crate) fn at<'a>(values: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(values, |value, key| value.get(key))
}

pub(crate) fn remove(values: &mut Value, path: &[String]) {
    let (last, parents) = path.split_last().unwrap();
    let parent = parents.iter().fold(values, |value, key| &mut value[key]);
    parent.as_object_mut().unwrap().remove(last);
}

pub(crate) fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

fn templates(chart: &Chart) -> Vec<String> {
    let mut folders = vec![chart.folder().join("templates")];
    let mut texts = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                texts.push(std::fs::read_to_string(path).unwrap());
            }
        }
    }
    texts
}
