//! One pool in trouble leaves the others as they are: proved, balanced and ready. What is wrong is shown.

#![allow(clippy::float_cmp, reason = "counts are exact")]

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::ensure;
use ilb_testbed::{ApiServer, Backend, Behaviour, Connection, FaultProxy, Net, Pods, Traefik, eventually};
use k8s_openapi::api::{
    authentication::v1::TokenRequest,
    core::v1::ServiceAccount,
    rbac::v1::{Role, RoleBinding},
};
use kube::{Api, api::PostParams};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::configured::{Configured, PORT, SECOND_PORT, folder, landed, listed, pool, until_landed};

const NOT_ACTIVE: &str = "A pool is not active";

fn head(traefik: &Traefik) -> String {
    format!("traefik: {{urls: ['{}']}}\npools:\n", traefik.rest_url())
}

/// Returns the reasons why ilb is degraded.
async fn degraded(configured: &Configured) -> Vec<String> {
    let status = configured.admin.status().await.unwrap();
    serde_json::from_value(status["degraded"].clone()).unwrap()
}

async fn until_pool_is(configured: &Configured, name: &str, in_force: f64) {
    eventually("the pool is in force, or is not", async || {
        let value = configured.admin.metric(&format!("ilb_pool_in_force{{pool=\"{name}\"}}")).await?;
        ensure!(value == in_force, "pool {name}: {value}");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_pool_at_an_entry_point_that_does_not_exist_is_shown_and_the_others_are_served_and_ready() {
    let folder = folder();
    let traefik = Traefik::with_entry_points(&[("second", SECOND_PORT)]).await.unwrap();
    // It counts what is pushed: Traefik ignores a configuration that it has.
    let proxy = FaultProxy::start((traefik.entry_point().ip(), 8080).into()).await.unwrap();
    let ((one, first), (two, second)) = (listed(&folder, "first").await, listed(&folder, "second").await);
    let settings = |file: &Path, entry_point: &str| {
        let pools = [pool("a", "tcp", file), pool("b", entry_point, file)].concat();
        let head = format!("traefik: {{urls: ['http://{}/api/providers/rest']}}\npools:\n", proxy.address());
        head + &pools.replace('}', ", method: roundrobin}")
    };
    let started = Instant::now();
    let configured = Configured::start(folder, &settings(&first, "nope"), &[]);
    configured.admin.wait_until_ok("/readyz").await.unwrap();
    until_landed(&traefik, 3333, &one).await;
    until_pool_is(&configured, "b", 0.0).await;
    let reasons = degraded(&configured).await;
    assert!(reasons[0].starts_with("pool b: Traefik has no entry point nope"), "{reasons:?}");
    assert!(traefik.api("tcp/routers/b@rest").await.is_err(), "it is not even pushed");
    assert_eq!(configured.ilb.logged(NOT_ACTIVE).unwrap().len(), 1);

    // A change of the settings of both: the new backends of `a` are served, and `b` stays where it is.
    configured.change(&settings(&second, "nope"));
    until_landed(&traefik, 3333, &two).await;
    assert!(configured.admin.is_ok("/readyz").await.unwrap());
    configured.change(&settings(&second, "second"));
    until_landed(&traefik, SECOND_PORT, &two).await;
    until_pool_is(&configured, "b", 1.0).await;
    assert_eq!(degraded(&configured).await, Vec::<String>::new());
    // Three states, and what is repeated after 1 s, 2 s, 4 s and so on while `b` is left out: of each of two states at most as
    // often as the time allows.
    let repetitions = 1 + started.elapsed().as_secs().checked_ilog2().unwrap_or(0);
    let pushes = proxy.puts();
    assert!((3..=3 + 2 * u64::from(repetitions)).contains(&pushes), "{pushes} pushes in {:?}", started.elapsed());
    assert!(traefik.connect().await.is_ok());
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_pool_that_an_old_traefik_cannot_serve_is_shown_and_the_others_are_balanced_and_ready() {
    // It does not know the PROXY protocol, and drops the key without a word.
    const OLD: &str = "3.4.3";
    let folder = folder();
    let (traefik, group) =
        (Traefik::of_version(OLD, &[("second", SECOND_PORT)]).await.unwrap(), Net::for_this_process().unwrap().group());
    let addresses = [0, 1].map(|index| group.address(index, PORT));
    let (_backends, file) = two_listed(&folder, addresses).await;
    let (_other, other_file) = listed(&folder, "other").await;
    let with_proxy_protocol = pool("b", "second", &other_file).replace('}', ", proxyProtocol: 2}");
    let settings = format!("{}{}{with_proxy_protocol}", head(&traefik), pool("a", "tcp", &file));
    let configured = Configured::start(folder, &settings, &[]);
    configured.admin.wait_until_ok("/readyz").await.unwrap();
    until_pool_is(&configured, "a", 1.0).await;
    until_pool_is(&configured, "b", 0.0).await;
    let reasons = degraded(&configured).await;
    let names_all = |reason: &String| ["pool b: ", "proxyProtocol", OLD].iter().all(|part| reason.contains(part));
    assert!(reasons.len() == 1 && names_all(&reasons[0]), "{reasons:?}");

    assert_balanced(&traefik, &configured, addresses).await;
    assert!(configured.admin.is_ok("/readyz").await.unwrap());
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_pool_is_served_when_traefik_comes_back_with_its_entry_point() {
    let folder = folder();
    let mut traefik = Traefik::start().await.unwrap();
    let (backend, file) = listed(&folder, "backends").await;
    let settings = format!("{}{}{}", head(&traefik), pool("a", "tcp", &file), pool("b", "second", &file));
    let configured = Configured::start(folder, &settings, &[]);
    until_pool_is(&configured, "a", 1.0).await;
    until_pool_is(&configured, "b", 0.0).await;
    traefik.kill().unwrap();
    traefik.add_entry_point("second", SECOND_PORT).unwrap();
    traefik.restart().await.unwrap();
    until_landed(&traefik, SECOND_PORT, &backend).await;
    until_pool_is(&configured, "b", 1.0).await;
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn least_connections_go_on_beside_a_pool_that_is_not_active() {
    let folder = folder();
    let (traefik, group) = (Traefik::start().await.unwrap(), Net::for_this_process().unwrap().group());
    let addresses = [0, 1].map(|index| group.address(index, PORT));
    let (_backends, file) = two_listed(&folder, addresses).await;
    let settings = format!("{}{}{}", head(&traefik), pool("a", "tcp", &file), pool("b", "nope", &file));
    let configured = Configured::start(folder, &settings, &[]);
    configured.admin.wait_until_ok("/readyz").await.unwrap();
    assert_balanced(&traefik, &configured, addresses).await;
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_pool_whose_pods_may_not_be_read_delays_the_start_of_the_others_only_for_a_while() {
    let (api_server, folder) = (ApiServer::shared().await.unwrap(), folder());
    let traefik = Traefik::with_entry_points(&[("second", SECOND_PORT)]).await.unwrap();
    let (shop, bank) =
        (api_server.new_namespace("shop").await.unwrap(), api_server.new_namespace("bank").await.unwrap());
    let backend =
        Backend::start(Net::for_this_process().unwrap().group().address(0, PORT), Behaviour::Echo).await.unwrap();
    shop.create_ready("one", backend.address().ip()).await.unwrap();
    let kubeconfig = reader_of(&shop, &api_server, &folder).await.unwrap().display().to_string();
    let pod_pool = |name: &str, entry_point: &str, namespace: &str| {
        format!(
            "- {{name: {name}, entryPoint: {entry_point}, selector: {}, namespaces: [{namespace}], backendPort: {PORT}, \
             allowLoopback: true}}\n",
            Pods::SELECTOR
        )
    };
    let pools = [pod_pool("a", "tcp", shop.namespace()), pod_pool("b", "second", bank.namespace())].concat();
    let configured = Configured::start(folder, &(head(&traefik) + &pools), &[("KUBECONFIG", &kubeconfig)]);
    configured.admin.wait_until_ok("/startupz").await.unwrap();
    configured.admin.wait_until_ok("/readyz").await.unwrap();
    assert_eq!(landed(&traefik, 3333).await.unwrap(), backend.address());
    let reasons = degraded(&configured).await;
    assert!(reasons.iter().any(|reason| reason == "pool b: its backends are not known yet"), "{reasons:?}");
}

/// Creates an account that may read the pods of one namespace, and returns its kubeconfig.
async fn reader_of(pods: &Pods, api_server: &ApiServer, folder: &TempDir) -> anyhow::Result<std::path::PathBuf> {
    fn object<K: serde::de::DeserializeOwned>(object: Value) -> anyhow::Result<K> {
        Ok(serde_json::from_value(object)?)
    }
    let (client, namespace, new) = (api_server.client(), pods.namespace(), PostParams::default());
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    accounts.create(&new, &object(json!({"metadata": {"name": "ilb"}}))?).await?;
    let pods_only = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]});
    let role = object(json!({"metadata": {"name": "ilb"}, "rules": [pods_only]}))?;
    Api::<Role>::namespaced(client.clone(), namespace).create(&new, &role).await?;
    let binding = object(json!({
        "metadata": {"name": "ilb"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "ilb"},
        "subjects": [{"kind": "ServiceAccount", "name": "ilb", "namespace": namespace}],
    }))?;
    Api::<RoleBinding>::namespaced(client, namespace).create(&new, &binding).await?;
    let request: TokenRequest = object(json!({"spec": {"audiences": []}}))?;
    let answer = accounts.create_token_request("ilb", &new, &request).await?;
    let mut kubeconfig: Value = serde_json::from_str(&fs::read_to_string(api_server.kubeconfig())?)?;
    kubeconfig["users"][0]["user"]["token"] = answer.status.map(|status| status.token).into();
    let file = folder.path().join("kubeconfig");
    fs::write(&file, kubeconfig.to_string())?;
    Ok(file)
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_restarted_ilb_keeps_what_traefik_has_of_a_pool_whose_backends_it_does_not_know() {
    let folder = folder();
    let traefik = Traefik::with_entry_points(&[("second", SECOND_PORT)]).await.unwrap();
    let ((one, first), (two, second)) = (listed(&folder, "first").await, listed(&folder, "second").await);
    let (three, third) = listed(&folder, "third").await;
    let settings = |file: &Path, more: &str| {
        let of_b = pool("b", "second", &second).replace('}', &format!("{more}}}"));
        format!("{}{}{of_b}", head(&traefik), pool("a", "tcp", file))
    };
    let mut configured = Configured::start(folder, &settings(&first, ""), &[]);
    configured.admin.wait_until_ok("/readyz").await.unwrap();
    until_landed(&traefik, SECOND_PORT, &two).await;
    let mut connection = traefik.connect_at(SECOND_PORT).await.unwrap();
    assert_eq!(landed(&traefik, 3333).await.unwrap(), one.address());

    // While ilb is away its settings change, harmlessly for `b`, and the backends of `b` cannot be read any more.
    let listed_of_b = fs::read(&second).unwrap();
    fs::remove_file(&second).unwrap();
    configured.change(&settings(&third, ", method: roundrobin, dialTimeout: 3s"));
    configured.ilb.kill_and_restart().unwrap();
    until_landed(&traefik, 3333, &three).await;
    assert_eq!(landed(&traefik, SECOND_PORT).await.unwrap(), two.address(), "the first push has kept it");
    connection.check_alive().await.unwrap();
    until_pool_is(&configured, "b", 1.0).await;
    let reasons = degraded(&configured).await;
    let expected = "pool b: its backends are not known yet: Traefik keeps those that it has";
    assert!(reasons.iter().any(|reason| reason == expected), "{reasons:?}");
    assert!(configured.admin.is_ok("/startupz").await.unwrap() && configured.admin.is_ok("/readyz").await.unwrap());

    fs::write(&second, listed_of_b).unwrap();
    eventually("its own backends are known", async || {
        let reasons = degraded(&configured).await;
        ensure!(reasons.is_empty(), "{reasons:?}");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(landed(&traefik, SECOND_PORT).await.unwrap(), two.address());
    connection.check_alive().await.unwrap();
}

/// Starts backends at these addresses, and writes a file that lists them.
async fn two_listed(folder: &TempDir, addresses: [SocketAddr; 2]) -> (Vec<Backend>, PathBuf) {
    let mut backends = Vec::new();
    for address in addresses {
        backends.push(Backend::start(address, Behaviour::Echo).await.unwrap());
    }
    let file = folder.path().join("backends.yaml");
    fs::write(&file, addresses.map(|address| format!("- {{address: '{address}'}}\n")).concat()).unwrap();
    (backends, file)
}

/// Asserts that pool `a` of these backends is balanced: the next connections go to the one that has lost its own.
async fn assert_balanced(traefik: &Traefik, configured: &Configured, addresses: [SocketAddr; 2]) {
    let mut held: Vec<Connection> = Vec::new();
    for _ in 0..10 {
        held.push(traefik.connect().await.unwrap());
    }
    held.retain(|connection| connection.backend() == addresses[0]);
    assert_eq!(held.len(), 5);
    let head_start = format!("ilb_backend_head_start{{pool=\"a\",backend=\"{}\"}}", addresses[1]);
    eventually("the next ones lead to the backend without connections", async || {
        let next = configured.admin.metric(&head_start).await?;
        ensure!(next == 5.0, "{next}");
        Ok(())
    })
    .await
    .unwrap();
    for _ in 0..5 {
        let connection = traefik.connect().await.unwrap();
        assert_eq!(connection.backend(), addresses[1], "the one that lost its connections");
        held.push(connection);
    }
}
