//! Helm installs, upgrades and rolls back on a real API server, and no upgrade changes the number of pods by surprise.

use ilb_testbed::{ApiServer, Chart, Release};
use k8s_openapi::api::apps::v1::Deployment;
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
