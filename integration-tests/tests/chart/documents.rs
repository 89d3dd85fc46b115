//! Notes, the table of values, the examples and the pod of `helm test`.

use std::{fs, process::Command};

use ilb_testbed::{Chart, tools};

#[test]
#[ignore = "needs the testbed: make test"]
fn the_table_of_values_in_the_readme_is_made_of_the_comments() {
    let chart = Chart::new().unwrap();
    let copy = tempfile::tempdir().unwrap();
    for file in ["Chart.yaml", "values.yaml", "README.md.gotmpl"] {
        fs::copy(chart.folder().join(file), copy.path().join(file)).unwrap();
    }
    let status = Command::new(tools::path("helm-docs").unwrap())
        .args(["--sort-values-order=file", "--skip-version-footer", "--chart-search-root"])
        .arg(copy.path())
        .status()
        .unwrap();
    assert!(status.success());
    let fresh = fs::read_to_string(copy.path().join("README.md")).unwrap();
    assert!(fresh == chart.file("README.md").unwrap(), "chart/README.md is stale: make docs");
}

#[test]
#[ignore = "needs the testbed: make test"]
fn the_notes_say_what_to_check_and_warn_of_what_is_risky_only() {
    let chart = Chart::new().unwrap();
    let quiet = chart.notes("{env: {relay: a=b}, replicaCount: 2}").unwrap();
    for command in
        ["rollout status deployment/my-lb-ilb", "helm -n apps test my-lb", "logs deployment/my-lb-ilb -c ilb"]
    {
        assert!(quiet.contains(command), "{quiet}");
    }
    assert!(!quiet.contains("Warnings:"), "{quiet}");
    for (values, warning) in [
        ("{env: {relay: a=b}}", "1 pod: "),
        ("{env: {relay: a=b}, nativeSidecar: false}", "nativeSidecar=false"),
        ("{env: {relay: a=b}, service: {type: LoadBalancer}}", "reachable from outside the cluster"),
        ("{pools: [{selector: a=b, allNamespaces: true}]}", "whoever may label a pod anywhere"),
        ("{env: {relay: a=b}, image: {tag: latest}}", "image.tag=latest"),
        ("{env: {relay: a=b}, drain: {timeout: 48h}}", "drain.timeout is above a day"),
        (
            "{env: {relay: a=b}, autoscaling: {enabled: true, behavior: {scaleDown: {selectPolicy: Max}}}}",
            "autoscaling may remove pods",
        ),
    ] {
        let notes = chart.notes(values).unwrap();
        assert!(notes.contains("Warnings:") && notes.contains(warning), "{values}\n{notes}");
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn the_pod_of_helm_test_never_becomes_an_endpoint() {
    let chart = Chart::new().unwrap();
    for (name, values) in chart.features().unwrap() {
        let rendered = chart.render(&values).unwrap();
        let hooks = rendered.hooks();
        assert_eq!(hooks.len(), 2, "{name}");
        let pod = hooks.iter().find(|hook| hook["kind"] == "Pod").unwrap();
        let labels = &pod["metadata"]["labels"];
        for service in rendered.objects.iter().filter(|object| object["kind"] == "Service") {
            let selector = service["spec"]["selector"].as_object().unwrap();
            assert!(selector.iter().any(|(key, value)| labels[key] != *value), "{name}");
        }
        let (host, args) = ("$(MY_LB_ILB_TEST_SERVICE_HOST)", &pod["spec"]["containers"][0]["args"]);
        assert!(
            name == "names" || *args == serde_json::json!(["status", "--url", format!("http://{host}:8081")]),
            "{args}"
        );
        let policy = &pod["metadata"]["annotations"]["helm.sh/hook-delete-policy"];
        assert_eq!(policy, "before-hook-creation,hook-succeeded", "{name}");
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn every_example_of_the_project_renders_and_lints() {
    let chart = Chart::new().unwrap();
    let mut names = Vec::new();
    for entry in fs::read_dir(chart.folder().join("../examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let values = fs::read_to_string(&path).unwrap();
            // Presets have no backends.
            let values = if ["ha-values.yaml", "keda-values.yaml"].iter().any(|preset| path.ends_with(preset)) {
                format!("{values}\nenv: {{relay: app=my-app}}\n")
            } else {
                values
            };
            chart.render(&values).unwrap();
            chart.lint(&values).unwrap();
            names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    names.sort();
    assert_eq!(
        names,
        ["ha-values.yaml", "keda-values.yaml", "mqtt-values.yaml", "postgresql-values.yaml", "rabbitmq-values.yaml"]
    );
}
