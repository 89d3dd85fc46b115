//! Upgrades work, and so do both major versions of Helm.

use std::{fs, path::Path};

use ilb_testbed::{Chart, Rendered};

/// Everything that a plain installation creates, to be read in reviews.
#[test]
#[ignore = "needs the testbed: make test"]
fn defaults() {
    insta::assert_snapshot!(Chart::new().unwrap().render("env: {relay: app=my-app}").unwrap().text);
}

#[test]
#[ignore = "needs the testbed: make test"]
fn helm_3_and_helm_4_render_every_example_alike_and_lint_finds_nothing() {
    let chart = Chart::new().unwrap();
    let with_helm_3 = chart.clone().with_helm_3().unwrap();
    for (name, values) in chart.features().unwrap() {
        assert_eq!(chart.render(&values).unwrap().objects, with_helm_3.render(&values).unwrap().objects, "{name}");
        chart.lint(&values).unwrap();
        with_helm_3.lint(&values).unwrap();
    }
}

/// An older one does not know the hook that sleeps, by which a pod that drains goes on serving.
#[test]
#[ignore = "needs the testbed: make test"]
fn a_kubernetes_that_is_too_old_is_refused() {
    for chart in [Chart::new().unwrap(), Chart::new().unwrap().with_helm_3().unwrap()] {
        let refusal = chart.clone().on_kubernetes("1.29.15").refusal("env: {relay: a=b}").unwrap();
        assert!(refusal.contains("requires kubeVersion: >=1.30.0-0"), "{refusal}");
        for kubernetes in ["1.30.0", "1.31.4-gke.100"] {
            chart.clone().on_kubernetes(kubernetes).render("env: {relay: a=b}").unwrap();
        }
    }
}

#[test]
#[ignore = "needs the testbed: make test"]
fn the_chart_and_the_program_have_one_version() {
    let chart: serde_json::Value = serde_saphyr::from_str(&Chart::new().unwrap().file("Chart.yaml").unwrap()).unwrap();
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}

/// A Deployment's selector is immutable: if a version were in it, no upgrade would ever succeed.
#[test]
#[ignore = "needs the testbed: make test"]
fn neither_a_version_nor_a_label_changes_what_selects_the_pods() {
    let chart = Chart::new().unwrap();
    let next = tempfile::tempdir().unwrap();
    copy(chart.folder(), next.path());
    let file = next.path().join("Chart.yaml");
    let text = fs::read_to_string(&file).unwrap().replace(env!("CARGO_PKG_VERSION"), "7.0.0");
    fs::write(&file, text).unwrap();
    let before = chart.render("env: {relay: a=b}").unwrap();
    let after = chart
        .at(next.path())
        .render(
            "{env: {relay: c=d}, podLabels: {x: z}, commonLabels: {z: z}, replicaCount: 3, siblings: {enabled: false}}",
        )
        .unwrap();
    assert!(after.text.contains("app.kubernetes.io/version: 7.0.0") && after.text.contains("helm.sh/chart: ilb-7.0.0"));
    for (kind, pointer) in [
        ("Deployment", "/spec/selector"),
        ("Service", "/spec/selector"),
        ("Deployment", "/spec/template/spec/topologySpreadConstraints/0/labelSelector"),
    ] {
        let selector = |rendered: &Rendered| rendered.only(kind).unwrap().pointer(pointer).unwrap().clone();
        assert_eq!(selector(&before), selector(&after), "{kind}{pointer}");
    }
    let labels = after.pod().unwrap()["metadata"]["labels"].as_object().unwrap().clone();
    for (key, value) in after.only("Service").unwrap()["spec"]["selector"].as_object().unwrap() {
        assert_eq!(labels[key], *value);
    }
    assert!(
        !labels.contains_key("helm.sh/chart") && !labels.contains_key("app.kubernetes.io/version"),
        "a new chart version would replace every pod"
    );
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = {
            let e = entry.unwrap();
            (e.path(), e.file_name())
        };
        if path.is_dir() {
            fs::create_dir(to.join(&name)).unwrap();
            copy(&path, &to.join(&name));
        } else {
            fs::copy(&path, to.join(&name)).unwrap();
        }
    }
}
