//! Traefik's write API stays inside the pod with any values.

use ilb_testbed::Chart;

#[test]
#[ignore = "needs the testbed: make test"]
fn the_write_api_is_on_loopback_and_no_port_of_anything() {
    let chart = Chart::new().unwrap();
    for (name, values) in chart.features().unwrap() {
        let rendered = chart.render(&values).unwrap();
        let traefik = rendered.file("traefik.yml").unwrap();
        assert_eq!(traefik["entryPoints"]["traefik"]["address"], "127.0.0.1:8080", "{name}");
        for (entry_point, settings) in traefik["entryPoints"].as_object().unwrap() {
            let address = settings["address"].as_str().unwrap();
            assert!(entry_point == "traefik" || !address.ends_with(":8080"), "{name}: {entry_point} at {address}");
        }
        let providers: Vec<_> = traefik["providers"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(providers, ["file", "providersThrottleDuration", "rest"], "{name}: another one could reach the API");
        let spec = rendered.pod().unwrap()["spec"].to_string();
        assert!(!spec.contains(r#""containerPort":8080"#) && !spec.contains("hostNetwork"), "{name}");
        let services: Vec<_> = rendered.objects.iter().filter(|object| object["kind"] == "Service").collect();
        for port in services.iter().flat_map(|service| service["spec"]["ports"].as_array().unwrap()) {
            assert!(port["port"] != 8080 && port["targetPort"] != 8080, "{name}: {port}");
            assert!(port["targetPort"].is_u64(), "{name}: {port}");
        }
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn a_port_of_clients_speaks_no_http_before_the_first_configuration() {
    let chart = Chart::new().unwrap();
    for (name, values) in chart.features().unwrap() {
        let rendered = chart.render(&values).unwrap();
        let traefik = rendered.file("traefik.yml").unwrap();
        let routed = rendered.file("bootstrap.yml").unwrap()["tcp"]["routers"]["bootstrap"]["entryPoints"].clone();
        for (entry_point, settings) in traefik["entryPoints"].as_object().unwrap() {
            if entry_point == "traefik" || entry_point == "metrics" {
                continue;
            }
            assert!(routed.as_array().unwrap().iter().any(|name| name == entry_point), "{name}: {entry_point}");
            assert_eq!(settings["transport"]["respondingTimeouts"]["readTimeout"], "1s", "{name}: {entry_point}");
        }
    }
}

/// All other tests run on the configuration that the chart installs.
#[test]
#[ignore = "needs the testbed: make test"]
fn the_static_configuration_is_the_tested_one_but_for_the_time_to_drain() {
    let chart = Chart::new().unwrap();
    let mut tested: serde_json::Value = serde_saphyr::from_str(&chart.file("files/traefik.yml").unwrap()).unwrap();
    let rendered = chart.render("env: {relay: app=my-app}").unwrap();
    let mut installed = rendered.file("traefik.yml").unwrap();
    for settings in [&mut tested, &mut installed] {
        settings["entryPoints"]["tcp"]["transport"]["lifeCycle"].take();
    }
    assert_eq!(tested.to_string(), installed.to_string());
    let tested: serde_json::Value = serde_saphyr::from_str(&chart.file("files/bootstrap.yml").unwrap()).unwrap();
    assert_eq!(tested, rendered.file("bootstrap.yml").unwrap());
}

#[test]
#[ignore = "needs the testbed: make test"]
fn what_the_chart_merges_over_the_static_configuration_arrives() {
    let values = "{env: {relay: a=b}, traefik: {config: {log: {level: DEBUG}, entryPoints: {tcp: {proxyProtocol: {insecure: true}}}}}}";
    let traefik = Chart::new().unwrap().render(values).unwrap().file("traefik.yml").unwrap();
    assert_eq!(traefik["log"]["level"], "DEBUG");
    assert_eq!(traefik["log"]["format"], "json");
    assert_eq!(traefik["entryPoints"]["tcp"]["proxyProtocol"]["insecure"], true);
    assert_eq!(traefik["entryPoints"]["tcp"]["address"], ":3333");
}
