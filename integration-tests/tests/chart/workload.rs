//! The pod: its containers, probes, draining, images and rights.

use ilb_testbed::Chart;
use serde_json::json;

const VALUES: &str = "env: {relay: app=my-app}";

#[test]
#[ignore = "needs the testbed: make test"]
fn ilb_is_a_native_sidecar_that_starts_before_traefik_and_ends_after_it() {
    let rendered = Chart::new().unwrap().render(VALUES).unwrap();
    let spec = &rendered.pod().unwrap()["spec"];
    assert_eq!(spec["initContainers"].as_array().unwrap().len(), 1);
    assert_eq!(spec["initContainers"][0]["name"], "ilb");
    assert_eq!(spec["initContainers"][0]["restartPolicy"], "Always");
    assert_eq!(spec["containers"].as_array().unwrap().len(), 1);
    assert_eq!(spec["containers"][0]["name"], "traefik");
    let annotations = &rendered.pod().unwrap()["metadata"]["annotations"];
    assert_eq!(annotations["kubectl.kubernetes.io/default-container"], "ilb");
}

#[test]
#[ignore = "needs the testbed: make test"]
fn without_native_sidecars_there_are_two_plain_containers_that_leave_together() {
    let rendered = Chart::new().unwrap().render("{nativeSidecar: false, env: {relay: app=my-app}}").unwrap();
    let spec = &rendered.pod().unwrap()["spec"];
    assert!(spec.get("initContainers").is_none());
    let containers = spec["containers"].as_array().unwrap();
    assert_eq!(containers.iter().map(|c| c["name"].as_str().unwrap()).collect::<Vec<_>>(), ["ilb", "traefik"]);
    for container in containers {
        assert!(container.get("restartPolicy").is_none());
        assert_eq!(container["lifecycle"]["preStop"]["sleep"]["seconds"], 10);
    }
}

/// The startup probe of ilb must not wait for Traefik, whose container is started when that probe has succeeded.
#[test]
#[ignore = "needs the testbed: make test"]
fn readiness_is_the_proof_and_the_start_does_not_wait_for_it() {
    let rendered = Chart::new().unwrap().render(VALUES).unwrap();
    let path = |container: &str, probe: &str| {
        let probe = &rendered.container(container).unwrap()[probe]["httpGet"];
        format!("{}{}", probe["port"], probe["path"].as_str().unwrap())
    };
    assert_eq!(path("ilb", "startupProbe"), "8081/startupz");
    assert_eq!(path("ilb", "readinessProbe"), "8081/readyz");
    assert_eq!(path("ilb", "livenessProbe"), "8081/livez");
    for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
        assert_eq!(path("traefik", probe), "9090/ping");
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn no_probe_ever_dials_a_pool_or_kills_traefik_within_minutes() {
    let chart = Chart::new().unwrap();
    for (name, values) in chart.features().unwrap() {
        let rendered = chart.render(&values).unwrap();
        for container in ["ilb", "traefik"] {
            let container = rendered.container(container).unwrap();
            for probe in ["startupProbe", "readinessProbe", "livenessProbe"] {
                let port = &container[probe]["httpGet"]["port"];
                assert!(*port == 8081 || *port == 9090, "{name}: {port}");
            }
        }
    }
    let rendered = chart.render(VALUES).unwrap();
    let liveness = &rendered.container("traefik").unwrap()["livenessProbe"];
    let patience = liveness["periodSeconds"].as_u64().unwrap() * liveness["failureThreshold"].as_u64().unwrap();
    assert!(patience >= 300, "{patience} s");
}

#[test]
#[ignore = "needs the testbed: make test"]
fn one_value_sets_how_long_connections_may_live_on() {
    let chart = Chart::new().unwrap();
    for (timeout, seconds) in [("90s", 90), ("5m", 300), ("1h30m", 5400), ("12h", 43200), ("1h0m1s", 3601)] {
        let rendered = chart.render(&format!("{{drain: {{timeout: {timeout}}}, env: {{relay: app=my-app}}}}")).unwrap();
        let spec = &rendered.pod().unwrap()["spec"];
        assert_eq!(spec["terminationGracePeriodSeconds"], seconds + 10 + 15, "{timeout}");
        assert_eq!(rendered.container("traefik").unwrap()["lifecycle"]["preStop"]["sleep"]["seconds"], 10);
        let cycle = rendered.file("traefik.yml").unwrap()["entryPoints"]["tcp"]["transport"]["lifeCycle"].clone();
        assert_eq!(cycle, json!({"graceTimeOut": timeout, "requestAcceptGraceTimeout": "0s"}));
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn a_new_static_configuration_replaces_the_pods_and_new_settings_of_ilb_do_not() {
    let chart = Chart::new().unwrap();
    let template = |values: &str| chart.render(values).unwrap().pod().unwrap().clone();
    let before = template("pools: [{selector: app=a}]");
    assert_eq!(before, template("pools: [{selector: app=b, method: roundrobin}]"), "ilb reloads its file");
    assert_ne!(before, template("{pools: [{selector: app=a}], traefik: {config: {log: {level: DEBUG}}}}"));
}

#[test]
#[ignore = "needs the testbed: make test"]
fn settings_are_mounted_as_a_folder_so_that_changes_arrive() {
    let rendered = Chart::new().unwrap().render("pools: [{selector: app=a}]").unwrap();
    for container in ["ilb", "traefik"] {
        for mount in rendered.container(container).unwrap()["volumeMounts"].as_array().unwrap() {
            assert!(mount.get("subPath").is_none(), "{mount}");
        }
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn a_digest_wins_over_a_tag_and_both_images_are_named_apart() {
    let chart = Chart::new().unwrap();
    let image = |values: &str, container: &str| {
        chart.render(values).unwrap().container(container).unwrap()["image"].as_str().unwrap().to_owned()
    };
    assert_eq!(image(VALUES, "ilb"), concat!("ilb:", env!("CARGO_PKG_VERSION")));
    assert_eq!(image(VALUES, "traefik"), "docker.io/library/traefik:v3.7.15");
    let digest = "a".repeat(64);
    let both = format!(
        "{{env: {{relay: a=b}}, image: {{registry: r.example:5000, repository: x/ilb, tag: '1', digest: 'sha256:{digest}'}}, \
         traefik: {{image: {{registry: '', tag: v3.8.0}}}}}}"
    );
    assert_eq!(image(&both, "ilb"), format!("r.example:5000/x/ilb@sha256:{digest}"));
    assert_eq!(image(&both, "traefik"), "library/traefik:v3.8.0");
}
