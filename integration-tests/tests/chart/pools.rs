//! Several pools in one release.

use ilb_testbed::Chart;
use serde_json::json;

const VALUES: &str = "pools:
  - {name: postgres, selector: 'app=pg,role in (replica)', namespaces: [db], backendPort: 5432, port: 5432}
  - {name: mqtt, service: mosquitto, port: 1883, servicePort: 1884, entryPoint: iot}";

#[test]
#[ignore = "needs the testbed: make test"]
fn each_pool_has_a_listener_a_port_of_the_service_and_its_settings() {
    let rendered = Chart::new().unwrap().render(VALUES).unwrap();
    let traefik = rendered.file("traefik.yml").unwrap();
    assert_eq!(traefik["entryPoints"]["postgres"]["address"], ":5432");
    assert_eq!(traefik["entryPoints"]["iot"]["address"], ":1883");
    assert_eq!(traefik["entryPoints"].as_object().unwrap().len(), 4);
    let ports: Vec<_> = rendered.only("Service").unwrap()["spec"]["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| json!([port["name"], port["port"], port["targetPort"]]))
        .collect();
    assert_eq!(json!(ports), json!([["postgres", 5432, 5432], ["mqtt", 1884, 1883]]));
    let settings = json!({"expectSiblings": false, "pools": [
        {"name": "postgres", "selector": "app=pg,role in (replica)", "namespaces": ["db"], "backendPort": 5432, "entryPoint": "postgres"},
        {"name": "mqtt", "service": "mosquitto", "namespaces": ["apps"], "entryPoint": "iot"},
    ]});
    assert_eq!(rendered.file("ilb.yaml").unwrap(), settings);
}

#[test]
#[ignore = "needs the testbed: make test"]
fn ilb_reads_the_file_and_no_variable_of_a_single_pool() {
    let rendered = Chart::new().unwrap().render(&format!("{VALUES}\nlog: {{level: debug}}")).unwrap();
    let variables = rendered.container("ilb").unwrap()["env"].as_array().unwrap();
    let names: Vec<_> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    let of_the_pod = ["ILB_NODE", "ILB_POD", "ILB_POD_NAMESPACE", "ILB_RELEASE"];
    let expected: Vec<_> =
        ["TRAEFIK_API_URL"].into_iter().chain(of_the_pod).chain(["ILB_SIBLINGS", "ILB_CONFIG"]).collect();
    assert_eq!(names, expected, "the rest is in the file, which is reloaded");
    assert_eq!(rendered.file("ilb.yaml").unwrap()["log"], json!({"level": "debug"}));
    assert_eq!(variables[6]["value"], "/etc/ilb/ilb.yaml");
}

#[test]
#[ignore = "needs the testbed: make test"]
fn a_pool_that_is_added_changes_nothing_about_the_others() {
    let chart = Chart::new().unwrap();
    for first in ["{name: postgres, selector: app=pg}", "{selector: app=pg}"] {
        let name = if first.contains("name") { "postgres" } else { "default" };
        let rendered = |pools: &str| {
            let rendered = chart.render(&format!("pools: [{pools}]")).unwrap();
            let settings = rendered.file("ilb.yaml").unwrap()["pools"][0].clone();
            let entry_point = settings["entryPoint"].as_str().unwrap().to_owned();
            let listener = rendered.file("traefik.yml").unwrap()["entryPoints"][&entry_point].clone();
            assert_eq!(listener["address"], ":3333");
            (settings, listener, rendered.only("Service").unwrap()["spec"]["ports"][0].clone())
        };
        let second = "{name: mqtt, service: mosquitto, port: 1883}";
        // With several pools each needs a name and a port.
        let complete = format!("{{name: {name}, port: 3333, selector: app=pg}}");
        assert_eq!(rendered(first), rendered(&format!("{complete}, {second}")));
    }
    let single = chart.render("env: {relay: app=pg}").unwrap();
    let entry_points = single.file("traefik.yml").unwrap()["entryPoints"].clone();
    assert!(entry_points["tcp"].is_object(), "{entry_points}");
}
