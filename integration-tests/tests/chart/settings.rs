//! The real ilb accepts the settings that the chart renders for it.

use std::{collections::BTreeSet, process::Command};

use ilb_testbed::{Chart, Ilb};
use serde_json::Value;

#[test]
#[ignore = "needs the testbed: make test"]
fn ilb_finds_nothing_wrong_with_the_settings_of_any_example() {
    let chart = Chart::new().unwrap();
    let ilb = Ilb::build().unwrap();
    for (name, values) in chart.features().unwrap() {
        let rendered = chart.render(&values).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ilb.yaml");
        let mut check = Command::new(&ilb);
        check.env_clear().arg("check");
        for variable in rendered.container("ilb").unwrap()["env"].as_array().unwrap() {
            let value = match (variable["name"].as_str().unwrap(), &variable["value"]) {
                ("ILB_CONFIG", _) => file.to_str().unwrap(),
                (_, Value::String(value)) => value,
                _ => "apps",
            };
            check.env(variable["name"].as_str().unwrap(), value);
        }
        let maps = rendered.all("ConfigMap");
        if let Some(settings) = maps.iter().find_map(|map| map["data"]["ilb.yaml"].as_str()) {
            std::fs::write(&file, settings).unwrap();
        }
        let output = check.output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn a_pool_takes_every_key_that_ilb_knows() {
    let chart = Chart::new().unwrap();
    let schema: Value = serde_json::from_str(&chart.file("values.schema.json").unwrap()).unwrap();
    let keys = keys(&schema, &schema["properties"]["pools"]["items"], "").into_iter();
    let of_the_service = ["port", "servicePort", "portName", "nodePort", "hostPort", "appProtocol"];
    let taken: BTreeSet<_> = keys.filter(|key| !of_the_service.contains(&key.as_str())).collect();
    let document = chart.file("../docs/settings.md").unwrap();
    let known = document.split("`pools[].").skip(1).filter_map(|rest| rest.split_once('`'));
    // Backends on the balancer's own loopback device are for tests.
    let known: BTreeSet<_> = known.map(|(key, _)| key.to_owned()).filter(|key| key != "allowLoopback").collect();
    // The prose names groups of keys, too.
    let is_group = |key: &String| known.iter().any(|other| other.starts_with(&format!("{key}.")));
    let known: BTreeSet<_> = known.iter().filter(|key| !is_group(key)).cloned().collect();
    assert_eq!(taken, known);
}

/// Returns the paths of the keys that a part of the schema allows, such as `closing.drain.after`.
fn keys(schema: &Value, part: &Value, at: &str) -> Vec<String> {
    let defined = part["$ref"].as_str().and_then(|path| schema.pointer(path.strip_prefix('#')?));
    let Some(properties) = defined.unwrap_or(part)["properties"].as_object() else {
        return vec![at.trim_end_matches('.').to_owned()];
    };
    properties.iter().flat_map(|(key, part)| keys(schema, part, &format!("{at}{key}."))).collect()
}
