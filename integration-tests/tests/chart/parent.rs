//! The chart as a part of another one.

use std::{fs, os::unix::fs::symlink};

use ilb_testbed::{Chart, Rendered};
use serde_json::{Value, json};

#[test]
#[ignore = "needs the testbed: make test"]
fn a_parent_chart_can_switch_it_off_and_on() {
    for chart in [Chart::new().unwrap(), Chart::new().unwrap().with_helm_3().unwrap()] {
        let parent = parent_of(&chart);
        let parent = chart.at(parent.path());
        let on = parent.render("ilb: {enabled: true, env: {relay: app=my-app}}").unwrap();
        assert_eq!(on.all("Deployment").len(), 1);
        let off = parent.render("ilb: {enabled: false}").unwrap();
        assert!(off.objects.iter().all(Value::is_null), "{}", off.text);
    }
}

/// Not through a condition of a parent, but in the chart itself.
#[test]
#[ignore = "needs the testbed: make test"]
fn nothing_is_installed_while_it_is_off() {
    let chart = Chart::new().unwrap();
    let off = chart.render("enabled: false").unwrap();
    assert!(off.objects.iter().all(Value::is_null), "{}", off.text);
    assert!(chart.notes("enabled: false").unwrap().contains("nothing is installed"));
}

#[test]
#[ignore = "needs the testbed: make test"]
fn what_a_parent_chart_shares_reaches_every_image_and_pod() {
    let chart = Chart::new().unwrap();
    let parent = parent_of(&chart);
    let values = "{global: {imageRegistry: mirror.example, imagePullSecrets: [shared, {name: other}], storageClass: fast}, \
                  ilb: {env: {relay: app=my-app}, imagePullSecrets: [{name: own}], image: {registry: theirs.example}}}";
    let rendered = chart.at(parent.path()).render(values).unwrap();
    let image = |container: &str| rendered.container(container).unwrap()["image"].as_str().unwrap().to_owned();
    assert_eq!(image("ilb"), concat!("mirror.example/ilb:", env!("CARGO_PKG_VERSION")));
    assert_eq!(image("traefik"), "mirror.example/library/traefik:v3.7.15");
    let secrets = json!([{"name": "own"}, {"name": "shared"}, {"name": "other"}]);
    assert_eq!(rendered.pod().unwrap()["spec"]["imagePullSecrets"], secrets);
    let test = test_pod(&rendered);
    assert_eq!(test["spec"]["imagePullSecrets"], secrets);
    assert_eq!(test["spec"]["containers"][0]["image"], concat!("mirror.example/ilb:", env!("CARGO_PKG_VERSION")));
}

/// A namespace with a quota, a limit range or a policy admits the pod of `helm test` where it admits the others.
#[test]
#[ignore = "needs the testbed: make test"]
fn what_sets_up_the_pods_sets_up_the_pod_of_helm_test() {
    let values = "{env: {relay: a=b}, priorityClassName: high, runtimeClassName: gvisor, schedulerName: mine, hostUsers: false, \
                   dnsPolicy: Default, dnsConfig: {searches: [a.example]}, hostAliases: [{ip: 192.0.2.1, hostnames: [a]}], \
                   nodeSelector: {disk: fast}, tolerations: [{operator: Exists}], imagePullSecrets: [own], \
                   podLabels: {mesh: 'no'}, podAnnotations: {note: x}, serviceAccount: {name: theirs}, \
                   podSecurityContext: {runAsUser: 10001}}";
    let chart = Chart::new().unwrap();
    let rendered = chart.render(values).unwrap();
    let (pod, test) = (rendered.pod().unwrap().clone(), test_pod(&rendered));
    for key in [
        "priorityClassName",
        "runtimeClassName",
        "schedulerName",
        "hostUsers",
        "dnsPolicy",
        "dnsConfig",
        "hostAliases",
        "nodeSelector",
        "tolerations",
        "imagePullSecrets",
        "securityContext",
        "serviceAccountName",
        "automountServiceAccountToken",
    ] {
        assert!(!pod["spec"][key].is_null() && pod["spec"][key] == test["spec"][key], "{key}");
    }
    assert_eq!(
        (&test["metadata"]["labels"]["mesh"], &test["metadata"]["annotations"]["note"]),
        (&json!("no"), &json!("x"))
    );
    let own = "{env: {relay: a=b}, nodeSelector: {disk: fast}, priorityClassName: high, \
                test: {nodeSelector: {disk: slow}, priorityClassName: low, resources: {limits: {cpu: 1}}}}";
    let test = test_pod(&chart.render(own).unwrap());
    assert_eq!(test["spec"]["nodeSelector"], json!({"disk": "slow"}));
    assert_eq!(test["spec"]["priorityClassName"], "low");
    assert_eq!(test["spec"]["containers"][0]["resources"]["limits"]["cpu"], 1);
}

fn test_pod(rendered: &Rendered) -> Value {
    rendered.hooks().into_iter().find(|hook| hook["kind"] == "Pod").unwrap().clone()
}

/// Returns a chart that contains this one under the condition `ilb.enabled`.
fn parent_of(chart: &Chart) -> tempfile::TempDir {
    let parent = tempfile::tempdir().unwrap();
    let description = "apiVersion: v2
name: parent
version: 1.0.0
dependencies: [{name: ilb, version: '*', condition: ilb.enabled}]
";
    fs::write(parent.path().join("Chart.yaml"), description).unwrap();
    fs::create_dir(parent.path().join("charts")).unwrap();
    symlink(chart.folder(), parent.path().join("charts/ilb")).unwrap();
    parent
}
