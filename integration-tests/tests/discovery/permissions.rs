//! A source that loses the right to read pods, or whose token is revoked, reports that and recovers.

use std::fs;

use anyhow::Context;
use ilb_discovery::{ClientLimits, Error, PodDiscovery, api_client};
use ilb_testbed::{ApiServer, Followed, Pods, pod_ip};
use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    core::v1::{Secret, ServiceAccount},
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::{Value, json};

/// A service account that may read pods, and a source that works as it, with its token in a file.
struct GuardedPods {
    api_server: ApiServer,
    pods: Pods,
    folder: tempfile::TempDir,
}

impl GuardedPods {
    async fn new() -> anyhow::Result<Self> {
        let api_server = ApiServer::shared().await?;
        let pods = api_server.new_namespace("shop").await?;
        let scene = Self { api_server, pods, folder: tempfile::tempdir()? };
        scene.create::<ServiceAccount>(json!({"metadata": {"name": "ilb"}})).await?;
        let rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]});
        scene.create::<Role>(json!({"metadata": {"name": "ilb"}, "rules": [rule]})).await?;
        scene.allow().await?;
        scene.pods.create_ready("one", pod_ip(1)).await?;
        Ok(scene)
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.api_server.client(), self.pods.namespace())
    }

    async fn create<K>(&self, object: Value) -> anyhow::Result<()>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + serde::Serialize
            + serde::de::DeserializeOwned
            + Clone
            + std::fmt::Debug,
    {
        let object: K = serde_json::from_value(object)?;
        self.api::<K>().create(&PostParams::default(), &object).await?;
        Ok(())
    }

    async fn allow(&self) -> anyhow::Result<()> {
        self.create::<RoleBinding>(json!({
            "metadata": {"name": "ilb"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "ilb"},
            "subjects": [{"kind": "ServiceAccount", "name": "ilb", "namespace": self.pods.namespace()}],
        }))
        .await
    }

    async fn forbid(&self) -> anyhow::Result<()> {
        self.api::<RoleBinding>().delete("ilb", &DeleteParams::default()).await?;
        Ok(())
    }

    /// Creates a token of the service account that is valid as long as the secret `bound_to`, which is created for it.
    async fn token(&self, bound_to: &str) -> anyhow::Result<String> {
        self.create::<Secret>(json!({"metadata": {"name": bound_to}})).await?;
        let uid = self.api::<Secret>().get(bound_to).await?.metadata.uid;
        let request: TokenRequest = serde_json::from_value(json!({"spec": {
            "audiences": [],
            "boundObjectRef": {"apiVersion": "v1", "kind": "Secret", "name": bound_to, "uid": uid},
        }}))?;
        let accounts = self.api::<ServiceAccount>();
        let answer = accounts.create_token_request("ilb", &PostParams::default(), &request).await?;
        Ok(answer.status.context("no token")?.token)
    }

    /// Watches the pods as the service account, with `token` in its file.
    async fn follow(&self, token: &str) -> anyhow::Result<Followed> {
        let path = self.folder.path().join("token");
        fs::write(&path, token)?;
        let mut config = self.api_server.config(self.api_server.address()).await?;
        config.auth_info =
            kube::config::AuthInfo { token_file: Some(path.display().to_string()), ..Default::default() };
        let client = api_client(&config, &ClientLimits::default())?;
        let mut followed =
            Followed::new(&PodDiscovery::new(client, self.pods.namespace(), Pods::SELECTOR.parse()?, 5432));
        followed.until_ready(1).await?;
        Ok(followed)
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_right_that_is_taken_away_is_missed_and_works_again_when_it_is_back() {
    let scene = GuardedPods::new().await.unwrap();
    let mut followed = scene.follow(&scene.token("first").await.unwrap()).await.unwrap();
    scene.forbid().await.unwrap();
    let (error, noticed) = followed.until_stale().await.unwrap();
    assert!(matches!(error, Error::Forbidden { .. }), "{error}");
    println!("forbidden: noticed after {noticed:.1?}: {}", error.with_causes());
    scene.pods.create_ready("two", pod_ip(2)).await.unwrap();
    scene.allow().await.unwrap();
    let seen = followed.until_ready(2).await.unwrap();
    println!("allowed again: recovered in {:.1?}", seen.after);
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_token_that_is_refused_is_reported_and_the_next_one_in_its_file_is_used() {
    let scene = GuardedPods::new().await.unwrap();
    let mut followed = scene.follow(&scene.token("first").await.unwrap()).await.unwrap();
    scene.api::<Secret>().delete("first", &DeleteParams::default()).await.unwrap();
    let (error, noticed) = followed.until_stale().await.unwrap();
    assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
    println!("token revoked: noticed after {noticed:.1?}: {}", error.with_causes());
    scene.pods.create_ready("two", pod_ip(2)).await.unwrap();
    fs::write(scene.folder.path().join("token"), scene.token("second").await.unwrap()).unwrap();
    let seen = followed.until_ready(2).await.unwrap();
    println!("token renewed: recovered in {:.1?}", seen.after);
}
