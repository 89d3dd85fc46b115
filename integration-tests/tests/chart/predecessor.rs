//! Values of the predecessor's chart, that of the Go program, do what its documents promised.

use ilb_testbed::Chart;
use serde_json::json;

#[test]
#[ignore = "needs the testbed: make test"]
fn the_documented_command_line_selects_the_pods_that_it_names() {
    let rendered = Chart::new().unwrap().render("env: {relay: app=my-app, updateinterval: 5s}").unwrap();
    let pool = json!({
        "name": "default", "entryPoint": "tcp", "selector": "app=my-app", "namespaces": [Chart::NAMESPACE], "backendPort": 3333,
        "updateInterval": "5s",
    });
    let settings = json!({"expectSiblings": false, "pools": [pool]});
    assert_eq!(rendered.file("ilb.yaml").unwrap(), settings, "what is not set is left to ilb");
}

#[test]
#[ignore = "needs the testbed: make test"]
fn every_setting_reaches_ilb_however_it_is_typed() {
    for values in [
        "{relay: 'app=a,tier=b', backendPort: 5432, useWatch: false, logLevel: debug, logFormat: text, updateinterval: 2s, lbMethod: roundrobin}",
        "{relay: 'app=a,tier=b', backendPort: '5432', useWatch: 'false', logLevel: debug, logFormat: text, updateinterval: 2s, lbMethod: roundrobin}",
    ] {
        let rendered = Chart::new().unwrap().render(&format!("env: {values}")).unwrap();
        let pool = json!({
            "name": "default", "entryPoint": "tcp", "selector": "app=a,tier=b", "namespaces": [Chart::NAMESPACE],
            "backendPort": 5432, "updateInterval": "2s", "watch": false, "method": "roundrobin",
        });
        let log = json!({"level": "debug", "format": "text"});
        assert_eq!(rendered.file("ilb.yaml").unwrap(), json!({"expectSiblings": false, "log": log, "pools": [pool]}));
    }
}

/// `env.relay="app=myapp,tier=backend"` is what its documents said. Helm splits that at the comma.
#[test]
#[ignore = "needs the testbed: make test"]
fn several_labels_can_be_given_on_the_command_line() {
    for chart in [Chart::new().unwrap(), Chart::new().unwrap().with_helm_3().unwrap()] {
        let labels = |options: &[&str]| {
            let rendered = chart.render_with(options, "{}")?;
            anyhow::Ok(rendered.file("ilb.yaml")?["pools"][0]["selector"].as_str().unwrap().to_owned())
        };
        assert_eq!(labels(&["--set", r"env.relay=app=myapp\,tier=backend"]).unwrap(), "app=myapp,tier=backend");
        let as_map = ["--set", "env.relay.app=myapp", "--set", "env.relay.tier=backend"];
        assert_eq!(labels(&as_map).unwrap(), "app=myapp,tier=backend");
        let error = format!("{:#}", labels(&["--set", "env.relay=app=myapp,tier=backend"]).unwrap_err());
        assert!(error.contains("additional properties 'tier' not allowed"), "{error}");
        let number = labels(&["--set", "env.relay.app=myapp", "--set", "env.relay.version=2"]).unwrap_err();
        assert!(format!("{number:#}").contains("write the value in quotes, or use --set-string"), "{number:#}");
    }
    let documents =
        [Chart::new().unwrap().file("README.md").unwrap(), Chart::new().unwrap().file("values.yaml").unwrap()];
    assert!(documents[0].contains(r#"--set env.relay="app=myapp\,tier=backend""#));
    assert!(documents[0].contains("--set env.relay.app=myapp --set env.relay.tier=backend"));
}

#[test]
#[ignore = "needs the testbed: make test"]
fn volumes_and_mounts_arrive_in_both_containers() {
    let values = "{env: {relay: a=b}, volumes: [{name: v, emptyDir: {}}], volumeMounts: [{name: v, mountPath: /v}]}";
    let rendered = Chart::new().unwrap().render(values).unwrap();
    assert!(rendered.pod().unwrap()["spec"]["volumes"].to_string().contains(r#""name":"v""#));
    for container in ["ilb", "traefik"] {
        assert!(rendered.container(container).unwrap()["volumeMounts"].to_string().contains(r#""mountPath":"/v""#));
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn resources_apply_to_both_containers() {
    let rendered = Chart::new().unwrap().render("{env: {relay: a=b}, resources: {limits: {memory: 1Gi}}}").unwrap();
    for container in ["ilb", "traefik"] {
        let resources = &rendered.container(container).unwrap()["resources"];
        assert_eq!(*resources, json!({"limits": {"memory": "1Gi"}}), "{container}");
    }
}
