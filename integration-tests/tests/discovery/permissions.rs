//! A source that loses the right to read pods, or whose token is revoked, reports that and recovers; one that has rights
//! only in some namespaces, or only to some pods, works as far as they go.

use std::{fs, net::SocketAddr, path::Path};

use anyhow::Context;
use ilb_discovery::{ClientLimits, Discovery, Error, KubeOptions, PodDiscovery, State, api_client};
use ilb_testbed::{ApiServer, FaultProxy, Followed, Net, Pods, pod_ip};
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
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// A service account that may read pods, and a source that works as it, with its token in a file.
struct GuardedPods {
    api_server: ApiServer,
    pods: Pods,
    folder: tempfile::TempDir,
}

fn role() -> Value {
    let rule = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]});
    json!({"metadata": {"name": "ilb"}, "rules": [rule]})
}

impl GuardedPods {
    async fn new() -> anyhow::Result<Self> {
        let scene = Self::without_rights(ApiServer::shared().await?).await?;
        scene.api_server.create::<Role>(scene.pods.namespace(), role()).await?;
        scene.allow().await?;
        Ok(scene)
    }

    async fn without_rights(api_server: ApiServer) -> anyhow::Result<Self> {
        let pods = api_server.new_namespace("shop").await?;
        let scene = Self { api_server, pods, folder: tempfile::tempdir()? };
        scene.api_server.create::<ServiceAccount>(scene.pods.namespace(), json!({"metadata": {"name": "ilb"}})).await?;
        scene.pods.create_ready("one", pod_ip(1)).await?;
        Ok(scene)
    }

    fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.api_server.client(), self.pods.namespace())
    }

    async fn allow(&self) -> anyhow::Result<()> {
        self.api_server.create::<RoleBinding>(self.pods.namespace(), self.binding()).await
    }

    /// Lets the service account read the pods of another namespace.
    async fn allow_in(&self, other: &Pods) -> anyhow::Result<()> {
        let roles: Api<Role> = Api::namespaced(self.api_server.client(), other.namespace());
        roles.create(&PostParams::default(), &serde_json::from_value(role())?).await?;
        let bindings: Api<RoleBinding> = Api::namespaced(self.api_server.client(), other.namespace());
        bindings.create(&PostParams::default(), &serde_json::from_value(self.binding())?).await?;
        Ok(())
    }

    fn binding(&self) -> Value {
        json!({
            "metadata": {"name": "ilb"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "ilb"},
            "subjects": [{"kind": "ServiceAccount", "name": "ilb", "namespace": self.pods.namespace()}],
        })
    }

    async fn forbid(&self) -> anyhow::Result<()> {
        self.api::<RoleBinding>().delete("ilb", &DeleteParams::default()).await?;
        Ok(())
    }

    /// Creates a token of the service account that is valid as long as the secret `bound_to`, which is created for it.
    async fn token(&self, bound_to: &str) -> anyhow::Result<String> {
        self.api_server.create::<Secret>(self.pods.namespace(), json!({"metadata": {"name": bound_to}})).await?;
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
        let mut followed = Followed::new(&self.source(token, self.api_server.address()).await?);
        followed.until_ready(1).await?;
        Ok(followed)
    }

    /// Creates a source of the pods that reaches the API server at `via` as the service account.
    async fn source(&self, token: &str, via: SocketAddr) -> anyhow::Result<PodDiscovery> {
        let path = self.folder.path().join("token");
        fs::write(&path, token)?;
        let mut config = self.api_server.config(via).await?;
        config.auth_info =
            kube::config::AuthInfo { token_file: Some(path.display().to_string()), ..Default::default() };
        let client = api_client(&config, &ClientLimits::default())?;
        Ok(PodDiscovery::new(client, self.pods.namespace(), Pods::SELECTOR.parse()?, 5432))
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_namespace_without_rights_takes_only_its_own_backends_away() {
    let scene = GuardedPods::new().await.unwrap();
    let other = scene.api_server.new_namespace("bank").await.unwrap();
    other.create_ready("two", pod_ip(2)).await.unwrap();
    let source = scene.source(&scene.token("first").await.unwrap(), scene.api_server.address()).await.unwrap();
    let namespaces = [scene.pods.namespace(), other.namespace()];
    let source = source.with_options(KubeOptions::default().with_namespaces(namespaces));
    let refusal = format!("pods in namespace {}: forbidden", other.namespace());

    let error = source.list().await.unwrap_err();
    let Error::Partial { set, cause } = &error else { panic!("{error:?}") };
    assert_eq!(set.count(State::Ready), 1);
    assert!(cause.to_string().contains(&refusal), "{cause}");

    let mut followed = Followed::new(&source);
    followed.until_ready(1).await.unwrap();
    let (error, _) = followed.until_stale().await.unwrap();
    assert!(error.to_string().contains(&refusal), "{error}");
    scene.pods.create_ready("three", pod_ip(3)).await.unwrap();
    followed.until_ready(2).await.unwrap();

    scene.allow_in(&other).await.unwrap();
    let seen = followed.until_ready(3).await.unwrap();
    println!("allowed in the other namespace too: seen after {:.1?}", seen.after);
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn an_account_that_may_read_only_the_selected_pods_follows_them_over_a_broken_connection() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = selector_authorizer(folder.path()).await.unwrap();
    let api_server = ApiServer::start_with(&arguments).await.unwrap();
    let scene = GuardedPods::without_rights(api_server).await.unwrap();
    let proxy = FaultProxy::start(scene.api_server.address()).await.unwrap();
    let source = scene.source(&scene.token("first").await.unwrap(), proxy.address()).await.unwrap();
    let mut followed = Followed::new(&source);
    followed.until_ready(1).await.unwrap();
    for index in 2..=4 {
        proxy.reset();
        scene.pods.create_ready(&format!("pod-{index}"), pod_ip(index)).await.unwrap();
        let seen = followed.until_ready(index.into()).await.unwrap();
        assert!(!seen.errors.iter().any(|error| matches!(error, Error::Forbidden { .. })), "{:?}", seen.errors);
    }
}

/// Starts an authoriser that lets service accounts read pods with [`Pods::SELECTOR`] only, in addition to what RBAC
/// allows. Returns the arguments with which an API server consults it.
async fn selector_authorizer(folder: &Path) -> anyhow::Result<[String; 3]> {
    let listener = TcpListener::bind((Net::for_this_process()?.host()?, 0)).await?;
    let kubeconfig = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "a", "cluster": {"server": format!("http://{}", listener.local_addr()?)}}],
        "users": [{"name": "a", "user": {}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    });
    let path = folder.join("authorizer");
    fs::write(&path, kubeconfig.to_string())?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(authorize(stream));
        }
    });
    Ok([
        "--authorization-mode=Webhook".to_owned(),
        "--authorization-webhook-version=v1".to_owned(),
        format!("--authorization-webhook-config-file={}", path.display()),
    ])
}

/// Answers the reviews that arrive over one connection.
async fn authorize(stream: TcpStream) -> anyhow::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        let mut line = String::new();
        while line.trim() != "" || line.is_empty() {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            line.clear();
            anyhow::ensure!(stream.read_line(&mut line).await? > 0, "the API server hung up");
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let review: Value = serde_json::from_slice(&body)?;
        let attributes = &review["spec"]["resourceAttributes"];
        let wanted = json!([{"key": "app", "operator": "In", "values": ["backend"]}]);
        let allowed = attributes["resource"] == "pods"
            && (attributes["verb"] == "list" || attributes["verb"] == "watch")
            && attributes["labelSelector"]["requirements"] == wanted;
        let answer = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "status": {"allowed": allowed},
        })
        .to_string();
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", answer.len());
        stream.write_all((head + &answer).as_bytes()).await?;
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
