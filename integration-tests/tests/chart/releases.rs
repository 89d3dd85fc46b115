//! Helm installs, upgrades and rolls back on a real API server, and no upgrade changes the number of pods by surprise.

use ilb_testbed::{ApiServer, Chart, Ilb, Release};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

const FIXED: &str = "{env: {relay: app=x}, replicaCount: 3}";
const SCALED: &str = "{env: {relay: app=x}, autoscaling: {enabled: true, minReplicas: 3, maxReplicas: 9}}";
const BY_KEDA: &str = "{env: {relay: app=x}, replicaCount: null}";

/// A release in a namespace of its own, and its Deployment.
struct World {
    _server: ApiServer,
    chart: Chart,
    release: Release,
    deployments: Api<Deployment>,
}

impl World {
    async fn new(chart: Chart) -> Self {
        let server = ApiServer::shared().await.unwrap();
        let pods = server.new_namespace("release").await.unwrap();
        let release = chart.release(server.kubeconfig(), pods.namespace());
        let deployments = Api::namespaced(server.client(), pods.namespace());
        Self { _server: server, chart, release, deployments }
    }

    async fn replicas(&self) -> Option<i32> {
        self.deployments.get("my-lb-ilb").await.unwrap().spec.unwrap().replicas
    }

    /// Upgrades a release whose number of pods an autoscaler has set to another one. Helm 4 does that only if forced to.
    async fn ask_for_another_number(&self, values: &str) -> String {
        if self.chart.is_helm_3() {
            return self.release.upgrade(values).unwrap();
        }
        let before = self.replicas().await;
        let error = format!("{:#}", self.release.upgrade(values).unwrap_err());
        assert!(error.contains("conflict with \"kube-controller-manager\""), "{error}");
        assert_eq!(self.replicas().await, before);
        self.release.upgrade_with(&["--reset-values", "--force-conflicts"], values).unwrap()
    }

    /// Scales as the controller of a `HorizontalPodAutoscaler` does.
    async fn scale(&self, replicas: i32) {
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        let params =
            PatchParams { field_manager: Some("kube-controller-manager".to_owned()), ..PatchParams::default() };
        self.deployments.patch_scale("my-lb-ilb", &params, &patch).await.unwrap();
    }
}

fn both_helms() -> [Chart; 2] {
    [Chart::new().unwrap(), Chart::new().unwrap().with_helm_3().unwrap()]
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn switching_autoscaling_on_and_off_keeps_the_pods_that_run() {
    for scaled in [SCALED, BY_KEDA] {
        for chart in both_helms() {
            let world = World::new(chart).await;
            world.release.install(FIXED).unwrap();
            assert_eq!(world.replicas().await, Some(3));
            world.release.upgrade(scaled).unwrap();
            assert_eq!(world.replicas().await, Some(3), "switched on");
            world.scale(7).await;
            world.release.upgrade(&scaled.replace("app=x", "app=y")).unwrap();
            assert_eq!(world.replicas().await, Some(7), "a later upgrade");
            let notes = world.release.upgrade(FIXED).unwrap();
            assert_eq!(world.replicas().await, Some(7), "switched off");
            assert!(notes.contains("the 7 pods that an autoscaler left stay"), "{notes}");
            assert!(notes.contains("scale deployment/my-lb-ilb --replicas=3"), "{notes}");
            world.release.upgrade(&FIXED.replace("app=x", "app=y")).unwrap();
            assert_eq!(world.replicas().await, Some(7), "an upgrade after that");
            let notes = world.ask_for_another_number(&FIXED.replace("replicaCount: 3", "replicaCount: 4")).await;
            assert_eq!(world.replicas().await, Some(4), "another number was asked for");
            assert!(!notes.contains("autoscaler left"), "{notes}");
        }
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_rollback_of_a_release_that_was_always_scaled_keeps_the_pods() {
    for chart in both_helms() {
        let world = World::new(chart).await;
        world.release.install(SCALED).unwrap();
        world.scale(6).await;
        world.release.upgrade(&SCALED.replace("app=x", "app=y")).unwrap();
        assert_eq!(world.replicas().await, Some(6));
        world.release.rollback(1).unwrap();
        assert_eq!(world.replicas().await, Some(6));
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn autoscaling_that_would_end_sessions_when_it_is_switched_on_is_refused() {
    let world = World::new(Chart::new().unwrap()).await;
    world.release.install(FIXED).unwrap();
    let fewer = SCALED.replace("maxReplicas: 9", "maxReplicas: 2").replace("minReplicas: 3", "minReplicas: 1");
    let error = format!("{:#}", world.release.upgrade(&fewer).unwrap_err());
    assert!(error.contains("3 pods run, and autoscaling.maxReplicas=2 would end the sessions of 1 of them"), "{error}");
    assert_eq!(world.replicas().await, Some(3));
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn autoscaling_wakes_a_release_without_pods() {
    let world = World::new(Chart::new().unwrap()).await;
    world.release.install(&FIXED.replace("replicaCount: 3", "replicaCount: 0")).unwrap();
    world.release.upgrade(SCALED).unwrap();
    assert_eq!(world.replicas().await, Some(3), "an autoscaler ignores a Deployment that asks for no pods");
}

/// Names that YAML reads as a number, a truth value, nothing or a date.
const ODD_NAMES: [&str; 14] =
    ["no", "yes", "on", "off", "y", "n", "true", "null", "1234", "1e3", "0x10", "0o17", "0777", "2001-01-01"];

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn names_that_yaml_reads_as_something_else_are_names() {
    let server = ApiServer::shared().await.unwrap();
    for (major, chart) in both_helms().into_iter().enumerate() {
        for name in ODD_NAMES {
            // One Helm after the other: the namespace is the name, and stays.
            if major == 0 {
                server.namespace(name).await.unwrap();
            }
            let release = chart.release(server.kubeconfig(), name).named(name);
            let full_name = format!("lb-{name}-{major}");
            release
                .install(&format!(
                    "{{fullnameOverride: {full_name}, nameOverride: '{name}', namespaceOverride: '{name}', \
                     serviceAccount: {{name: '{name}'}}, commonLabels: {{team: '{name}'}}, commonAnnotations: {{note: '{name}'}}, \
                     podLabels: {{pod: '{name}', by: '{{{{ .Release.Name }}}}'}}, nodeSelector: {{disk: '{name}'}}, \
                     priorityClassName: '', imagePullSecrets: ['{name}'], metrics: {{service: {{enabled: true}}}}, \
                     networkPolicy: {{enabled: true}}, replicaCount: 2, autoscaling: {{enabled: true}}, \
                     pools: [{{name: p, selector: 'app={name}', namespaces: ['{name}']}}]}}"
                ))
                .unwrap_or_else(|error| panic!("{name}: {error:#}"));
            let deployment = Api::<Deployment>::namespaced(server.client(), name).get(&full_name).await.unwrap();
            let pod = deployment.spec.unwrap().template;
            let labels = pod.metadata.unwrap().labels.unwrap();
            for key in ["app.kubernetes.io/name", "app.kubernetes.io/instance", "team", "pod", "by"] {
                assert_eq!(labels[key], name, "{key}");
            }
            let spec = pod.spec.unwrap();
            assert_eq!(spec.node_selector.unwrap()["disk"], name);
            assert_eq!(spec.service_account_name.as_deref(), Some(name));
            let settings = Api::<ConfigMap>::namespaced(server.client(), name).get(&full_name).await.unwrap();
            let settings = settings.data.unwrap()["ilb.yaml"].clone();
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("ilb.yaml");
            std::fs::write(&file, &settings).unwrap();
            let mut check = std::process::Command::new(Ilb::build().unwrap());
            let output = check.env_clear().args(["check", "--config"]).arg(&file).output().unwrap();
            assert!(output.status.success(), "{settings}{}", String::from_utf8_lossy(&output.stderr));
            assert!(String::from_utf8_lossy(&output.stdout).contains(name), "{settings}");
            release.uninstall().unwrap();
        }
    }
}

/// A selector of a Deployment is immutable, and Helm has changed half of the release when it learns that.
#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_name_that_would_change_an_immutable_selector_is_refused_before() {
    let world = World::new(Chart::new().unwrap()).await;
    world.release.install(FIXED).unwrap();
    let renamed = "{env: {relay: app=x}, fullnameOverride: my-lb-ilb, nameOverride: other}";
    let error = format!("{:#}", world.release.upgrade(renamed).unwrap_err());
    assert!(
        error.contains("selects its pods by app.kubernetes.io/name=ilb, which cannot be changed to other"),
        "{error}"
    );
}

/// The values of a chart do not have what a later chart adds, which `--reuse-values` keeps away.
#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn values_of_an_earlier_chart_never_remove_anything() {
    for chart in both_helms() {
        let earlier = without_later_values(&chart);
        let world = World::new(chart.clone()).await;
        world.release.clone().with(chart.clone().at(earlier.path())).install(FIXED).unwrap();
        let error = format!("{:#}", world.release.upgrade_with(&["--reuse-values"], "{}").unwrap_err());
        assert!(error.contains("upgrade with --reset-then-reuse-values"), "{error}");
        assert_eq!(world.replicas().await, Some(3));
        world.release.upgrade_with(&["--reset-then-reuse-values"], "{}").unwrap();
        assert_eq!(world.replicas().await, Some(3));
    }
}

/// Returns a copy of the chart that lacks `enabled`, `test` and `kind`, as an earlier one would.
fn without_later_values(chart: &Chart) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("templates")).unwrap();
    std::fs::write(copy.path().join("Chart.yaml"), chart.file("Chart.yaml").unwrap()).unwrap();
    let deployment = "apiVersion: apps/v1
kind: Deployment
metadata: {name: my-lb-ilb}
spec:
  replicas: {{ .Values.replicaCount }}
  selector: {matchLabels: {app.kubernetes.io/name: ilb, app.kubernetes.io/instance: my-lb}}
  template:
    metadata: {labels: {app.kubernetes.io/name: ilb, app.kubernetes.io/instance: my-lb}}
    spec: {containers: [{name: traefik, image: traefik}]}
";
    std::fs::write(copy.path().join("templates/workload.yaml"), deployment).unwrap();
    std::fs::write(copy.path().join("values.yaml"), "{env: {relay: ''}, replicaCount: 1}").unwrap();
    copy
}
