//! `ilb check` says what is wrong with a cluster, before an installation and after one.

use std::fs;

use ilb_testbed::{ApiServer, Ilb, World};
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

/// Returns the level and the text of each finding of a check.
fn findings(report: &str, check: &str) -> Vec<(String, String)> {
    let report: Value = serde_json::from_str(report).unwrap();
    let text = |finding: &Value, name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    let checks = report["checks"].as_array().unwrap().iter().filter(|finding| finding["check"] == check);
    checks.map(|finding| (text(finding, "level"), text(finding, "text"))).collect()
}

/// Returns the only finding of a check.
fn finding(report: &str, check: &str) -> (String, String) {
    let mut found = findings(report, check);
    assert_eq!(found.len(), 1, "{check}: {report}");
    found.remove(0)
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_running_ilb_and_its_cluster_are_well_until_one_of_them_is_not() {
    let mut world = World::start(2).await.unwrap();
    let shown = world.ilb.ask(&["check", "--cluster", "-o", "json"]).await.unwrap();
    println!("{}", shown.stdout);
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), ""), "{}", shown.stdout);
    let ok = [
        "api-server",
        "kubernetes",
        "namespace",
        "admission",
        "rights",
        "backends",
        "backend-port",
        "traefik",
        "traefik-version",
        "entry-points",
        "counting",
        "local-ports",
        "running",
        "other-writers",
    ];
    for check in ok {
        let found = findings(&shown.stdout, check);
        assert!(!found.is_empty() && found.iter().all(|(level, _)| level == "ok"), "{check}: {}", shown.stdout);
    }
    assert!(finding(&shown.stdout, "backends").1.contains("2 found, 2 ready"), "{}", shown.stdout);

    let table = world.ilb.ask(&["check", "--cluster"]).await.unwrap();
    assert!(table.stdout.contains("OK") && table.stdout.contains("0 failed"), "{}", table.stdout);

    world.traefik.kill().unwrap();
    world.admin.wait_until_failing("/readyz").await.unwrap();
    let shown = world.ilb.ask(&["check", "--cluster", "-o", "json"]).await.unwrap();
    assert_eq!(shown.code, Some(1), "{}", shown.stdout);
    for check in ["traefik", "running"] {
        let found = findings(&shown.stdout, check);
        assert!(found.iter().any(|(level, _)| level == "failure"), "{check}: {}", shown.stdout);
    }
    assert_eq!(finding(&shown.stdout, "rights").0, "ok", "{}", shown.stdout);
    assert!(shown.stdout.contains("docs/checks.md#traefik"), "{}", shown.stdout);
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn an_api_server_that_is_gone_is_named_and_waited_for() {
    let mut world = World::on(ApiServer::start().await.unwrap(), 1, &[]).await.unwrap();
    world.api_server.kill().unwrap();
    let shown = world.ilb.ask(&["check", "--cluster", "-o", "json", "--wait=1"]).await.unwrap();
    assert_eq!(shown.code, Some(1), "{}", shown.stdout);
    assert_eq!(finding(&shown.stdout, "api-server").0, "failure");
    assert!(findings(&shown.stdout, "rights").is_empty(), "nothing else can be asked: {}", shown.stdout);
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn rights_that_are_missing_and_namespaces_that_do_not_exist_are_named_before_an_installation() {
    let api_server = ApiServer::shared().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let nobody = of_nobody(&api_server, folder.path());
    let check = async |kubeconfig: &std::path::Path| {
        let variables =
            [("KUBECONFIG", kubeconfig.to_str().unwrap()), ("POD_LABELS", "app=a"), ("ILB_NAMESPACES", "nowhere")];
        Ilb::ask_with(&variables, &["check", "--pre=kube-system", "-o", "json"]).await.unwrap()
    };
    let shown = check(&api_server.kubeconfig()).await;
    assert_eq!(shown.code, Some(1), "{}", shown.stdout);
    let namespaces = findings(&shown.stdout, "namespace");
    assert!(namespaces.contains(&("failure".to_owned(), "there is no namespace nowhere".to_owned())), "{namespaces:?}");
    assert_eq!(finding(&shown.stdout, "install-rights").0, "ok");
    assert_eq!(finding(&shown.stdout, "rights").0, "ok");
    assert!(findings(&shown.stdout, "traefik").is_empty(), "there is none yet: {}", shown.stdout);

    let shown = check(&nobody).await;
    let (level, text) = finding(&shown.stdout, "rights");
    assert!(level == "failure" && text.contains("list pods in nowhere, nor watch pods in nowhere"), "{text}");
    let (level, text) = finding(&shown.stdout, "install-rights");
    assert!(level == "failure" && text.contains("create deployments in kube-system"), "{text}");
    assert_eq!(finding(&shown.stdout, "backends").0, "failure");
}

/// The levels of a namespace, the level of the finding, and a part of what is said.
const LEVELS: [(Option<&str>, &str, &str); 4] = [
    (None, "warning", "has no label pod-security.kubernetes.io/enforce, so the API server's default decides"),
    (Some("privileged"), "ok", "admits the closer (pod-security.kubernetes.io/enforce=privileged)"),
    (Some("baseline"), "failure", "does not admit the closer"),
    (Some("restricted"), "failure", "pod-security.kubernetes.io/enforce=restricted"),
];

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_namespace_that_does_not_admit_the_closer_is_named() {
    let api_server = ApiServer::shared().await.unwrap();
    let kubeconfig = api_server.kubeconfig();
    let folder = tempfile::tempdir().unwrap();
    let without_rights = of_nobody(&api_server, folder.path());
    let check = async |kubeconfig: &std::path::Path, namespace: &str, variables: &[(&str, &str)]| {
        let kubeconfig = kubeconfig.to_str().unwrap();
        let own = [("KUBECONFIG", kubeconfig), ("POD_LABELS", "app=a"), ("ILB_CLOSING_MAX_AGE", "1h")];
        let arguments = ["check", &format!("--pre={namespace}"), "-o", "json"];
        let shown = Ilb::ask_with(&[&own, variables].concat(), &arguments).await.unwrap();
        finding(&shown.stdout, "admission")
    };
    let socket = [("ILB_CLOSER_SOCKET", "/run/ilb/closer.sock")];

    for (label, expected, part) in LEVELS {
        let name = format!("admission-{}", label.unwrap_or("none"));
        let labels = label.map(|level| json!({"pod-security.kubernetes.io/enforce": level}));
        let namespace = serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap();
        Api::<Namespace>::all(api_server.client()).create(&PostParams::default(), &namespace).await.unwrap();
        let (level, said) = check(&kubeconfig, &name, &socket).await;
        assert_eq!(level, expected, "{said}");
        assert!(said.contains(part) && said.contains(&format!("the namespace {name}")), "{said}");

        let (level, said) = check(&without_rights, &name, &socket).await;
        assert_eq!(level, "warning", "{said}");
        assert!(said.contains("it is not known") && said.contains("cannot get resource \"namespaces\""), "{said}");

        let (level, said) = check(&kubeconfig, &name, &[]).await;
        assert!(level == "ok" && said.contains("closer.socket is not set"), "{said}");
    }
    let (level, said) = check(&kubeconfig, "nowhere", &socket).await;
    assert!(level == "warning" && said.contains("there is no namespace nowhere yet"), "{said}");
}

/// Writes a kubeconfig of a user without any right.
fn of_nobody(api_server: &ApiServer, folder: &std::path::Path) -> std::path::PathBuf {
    let text = fs::read_to_string(api_server.kubeconfig()).unwrap();
    let of_nobody = text.replace("\"token\":", "\"as\":\"nobody\",\"token\":");
    assert_ne!(of_nobody, text);
    let file = folder.join("kubeconfig");
    fs::write(&file, of_nobody).unwrap();
    file
}
