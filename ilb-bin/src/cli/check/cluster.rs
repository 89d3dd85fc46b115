//! Checks of the API server, the namespaces and the rights.

use kube::Client;
use serde_json::{Value, json};

use super::finding::{Check, Findings};
use crate::{
    settings::{Backends, Namespaces, PoolSettings, Settings},
    wiring::{
        Cluster,
        objects::{Unread, get, post, text},
    },
};

/// Oldest minor version of Kubernetes 1 that the chart supports.
const OLDEST_MINOR: u32 = 30;

/// Right to do something with a kind of objects.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Right {
    pub(super) verb: &'static str,
    pub(super) group: &'static str,
    pub(super) resource: &'static str,
    /// Namespace; `None` for all of them.
    pub(super) namespace: Option<String>,
}

/// Objects that every release of the chart consists of; those that depend on values are left to Helm.
const INSTALLED: [(&str, &str); 7] = [
    ("apps", "deployments"),
    ("", "services"),
    ("", "configmaps"),
    ("", "serviceaccounts"),
    ("", "secrets"),
    ("rbac.authorization.k8s.io", "roles"),
    ("rbac.authorization.k8s.io", "rolebindings"),
];

/// Checks whether the API server answers and which version it has. Returns false if nothing else can be asked.
pub(super) async fn api_server(cluster: &Cluster, findings: &mut Findings) -> bool {
    let Cluster { client, server, .. } = cluster;
    let version = match get(client, "/version").await {
        Ok(version) => version,
        Err(unread) => {
            findings.failure(Check::ApiServer, format!("{server} does not answer: {}", unread.reason()));
            return false;
        }
    };
    findings.ok(Check::ApiServer, format!("{server} answers"));
    let (name, oldest) = (text(&version, "/gitVersion").unwrap_or("of an unknown version"), OLDEST_MINOR);
    match minor(&version) {
        Some(minor) if minor < oldest => {
            findings.failure(Check::Kubernetes, format!("Kubernetes {name} is too old: the chart needs 1.{oldest}"));
        }
        Some(_) => findings.ok(Check::Kubernetes, format!("Kubernetes {name}")),
        None => findings.warning(Check::Kubernetes, format!("Kubernetes {name} may be too old: 1.{oldest} is needed")),
    }
    true
}

/// Returns the minor version of Kubernetes 1.
fn minor(version: &Value) -> Option<u32> {
    let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
    (text(version, "/major")? == "1").then_some(())?;
    digits(text(version, "/minor")?).parse().ok()
}

/// Checks whether the namespace of ilb and those of its backends exist. Before an installation, its own may come with it.
pub(super) async fn namespaces(
    cluster: &Cluster,
    settings: &Settings,
    (own, is_before_installation): (&str, bool),
    findings: &mut Findings,
) {
    let mut names = vec![own.to_owned()];
    for pool in &settings.pools {
        names.extend(searched(pool, own).into_iter().flatten());
    }
    names.sort();
    names.dedup();
    for name in names {
        match get(&cluster.client, &format!("/api/v1/namespaces/{name}")).await {
            Ok(_) => findings.ok(Check::Namespace, format!("the namespace {name} exists")),
            Err(Unread::NotFound) if name == own && is_before_installation => findings.warning(
                Check::Namespace,
                format!("there is no namespace {name} yet: helm install --create-namespace creates it"),
            ),
            Err(Unread::NotFound) => findings.failure(Check::Namespace, format!("there is no namespace {name}")),
            // ilb does not need that right, so its account does not have it.
            Err(Unread::Forbidden(_)) => {
                findings.ok(Check::Namespace, format!("the namespace {name} may not be read, which ilb need not"));
            }
            Err(unread) => {
                findings.warning(Check::Namespace, format!("the namespace {name} cannot be read: {}", unread.reason()));
            }
        }
    }
}

/// Returns the namespaces that a pool searches; `None` for all of them, and no namespace without a cluster.
fn searched(pool: &PoolSettings, own: &str) -> Vec<Option<String>> {
    match (&pool.backends, &pool.namespaces) {
        (Backends::File(_), _) => Vec::new(),
        (_, Namespaces::Own) => vec![Some(own.to_owned())],
        (_, Namespaces::These(names)) => names.iter().cloned().map(Some).collect(),
        (_, Namespaces::All) => vec![None],
    }
}

/// Lists the rights that ilb needs for these settings.
pub(super) fn needed(settings: &Settings, own: &str) -> Vec<Right> {
    let right = |verb, (group, resource), namespace: &Option<String>| Right {
        verb,
        group,
        resource,
        namespace: namespace.clone(),
    };
    let (pods, slices) = (("", "pods"), ("discovery.k8s.io", "endpointslices"));
    let mut rights = Vec::new();
    for pool in &settings.pools {
        let kind = if matches!(pool.backends, Backends::Service(_)) { slices } else { pods };
        for namespace in searched(pool, own) {
            rights.push(right("list", kind, &namespace));
            rights.extend(pool.watch.then(|| right("watch", kind, &namespace)));
        }
    }
    for sibling in &settings.siblings {
        let namespace = Some(sibling.namespace.clone().unwrap_or_else(|| own.to_owned()));
        rights.extend(["list", "watch"].map(|verb| right(verb, slices, &namespace)));
    }
    rights.extend(settings.kubernetes_events.then(|| right("create", ("", "events"), &settings.instance.namespace)));
    rights.sort();
    rights.dedup();
    rights
}

/// Lists the rights that installing the chart needs.
pub(super) fn installing(namespace: &str) -> Vec<Right> {
    let right = |(group, resource)| Right { verb: "create", group, resource, namespace: Some(namespace.to_owned()) };
    INSTALLED.map(right).into()
}

/// Asks the API server for each right, and reports those that are missing. `what` is what the rights are for.
pub(super) async fn rights(client: &Client, check: Check, rights: &[Right], what: &str, findings: &mut Findings) {
    let mut missing = Vec::new();
    for right in rights {
        match is_allowed(client, right).await {
            Ok(true) => {}
            Ok(false) => missing.push(right.to_string()),
            Err(unread) => {
                return findings.warning(check, format!("the rights cannot be asked for: {}", unread.reason()));
            }
        }
    }
    match missing.as_slice() {
        [] if rights.is_empty() => findings.ok(check, format!("{what} needs no rights")),
        [] => findings.ok(check, format!("this account may do all that {what} needs ({} rights)", rights.len())),
        missing => {
            findings.failure(check, format!("this account may not {}, which {what} needs", missing.join(", nor ")));
        }
    }
}

/// Asks the API server whether this account has a right.
async fn is_allowed(client: &Client, right: &Right) -> Result<bool, Unread> {
    const PATH: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
    let Right { verb, group, resource, namespace } = right;
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": verb, "group": group, "resource": resource, "namespace": namespace}},
    });
    let answer = post(client, PATH, &review).await?;
    Ok(answer.pointer("/status/allowed").and_then(Value::as_bool) == Some(true))
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} ", self.verb, self.resource)?;
        match &self.namespace {
            Some(namespace) => write!(f, "in {namespace}"),
            None => f.write_str("in all namespaces"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{cli::check::finding::Level, settings::Inputs, wiring::objects::testing::api_server as server};

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Settings::load(&Inputs { variables: variables.iter().map(own).collect(), ..Inputs::default() }).unwrap()
    }

    fn cluster(answers: &[(&str, Value)]) -> Cluster {
        Cluster {
            client: server(answers),
            namespace: "apps".to_owned(),
            server: "https://api".to_owned(),
            is_own: false,
        }
    }

    #[rstest]
    #[case(json!({"major": "1", "minor": "30+", "gitVersion": "v1.30.1-gke"}), Level::Ok, "v1.30.1-gke")]
    #[case(json!({"major": "1", "minor": "29", "gitVersion": "v1.29.0"}), Level::Failure, "too old")]
    #[case(json!({}), Level::Warning, "of an unknown version")]
    #[tokio::test]
    async fn a_version_that_is_too_old_is_a_failure(#[case] answer: Value, #[case] level: Level, #[case] said: &str) {
        let mut findings = Findings::default();
        assert!(api_server(&cluster(&[("GET /version", answer)]), &mut findings).await);
        let last = findings.0.last().unwrap();
        assert!(last.level == level && last.text.contains(said), "{findings:?}");
    }

    #[tokio::test]
    async fn an_api_server_that_does_not_answer_ends_the_checks() {
        let mut findings = Findings::default();
        assert!(!api_server(&cluster(&[("GET /version", json!(500))]), &mut findings).await);
        assert_eq!(findings.worst(), Level::Failure);
    }

    #[tokio::test]
    async fn namespaces_that_do_not_exist_are_named() {
        let settings = settings(&[("ILB_SELECTOR", "app=a"), ("ILB_NAMESPACES", "a,b,c")]);
        let answers = [
            ("GET /api/v1/namespaces/own", json!({})),
            ("GET /api/v1/namespaces/b", json!(403)),
            ("GET /api/v1/namespaces/c", json!(500)),
        ];
        let mut findings = Findings::default();
        namespaces(&cluster(&answers), &settings, ("own", false), &mut findings).await;
        let levels: Vec<_> = findings.0.iter().map(|finding| finding.level).collect();
        assert_eq!(levels, [Level::Failure, Level::Ok, Level::Warning, Level::Ok], "{findings:?}");
        assert_eq!(findings.0[0].text, "there is no namespace a");
    }

    #[rstest]
    #[case(&[("ILB_SELECTOR", "app=a")], &["list pods in own", "watch pods in own"])]
    #[case(&[("ILB_SELECTOR", "app=a"), ("ILB_WATCH", "false"), ("ILB_ALL_NAMESPACES", "true")], &["list pods in all namespaces"])]
    #[case(
        &[("ILB_SERVICE", "db"), ("ILB_NAMESPACES", "a"), ("ILB_SIBLINGS", "s")],
        &["list endpointslices in a", "list endpointslices in own", "watch endpointslices in a", "watch endpointslices in own"]
    )]
    #[case(
        &[("ILB_BACKENDS_FILE", "/b.yaml"), ("ILB_KUBERNETES_EVENTS", "true"), ("ILB_POD", "p"), ("ILB_POD_NAMESPACE", "n")],
        &["create events in n"]
    )]
    fn the_rights_follow_from_the_settings(#[case] variables: &[(&str, &str)], #[case] expected: &[&str]) {
        let rights: Vec<_> = needed(&settings(variables), "own").iter().map(ToString::to_string).collect();
        assert_eq!(rights, expected);
    }

    #[rstest]
    #[case(json!({"status": {"allowed": true}}), Level::Ok, "may do all that ilb needs (7 rights)")]
    #[case(json!({"status": {"allowed": false}}), Level::Failure, "may not create deployments in apps, nor create services in apps")]
    #[case(json!({}), Level::Failure, "may not")]
    #[case(json!(500), Level::Warning, "cannot be asked for")]
    #[tokio::test]
    async fn rights_that_are_missing_are_named(#[case] answer: Value, #[case] level: Level, #[case] said: &str) {
        let client = server(&[("POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews", answer)]);
        let mut findings = Findings::default();
        rights(&client, Check::InstallRights, &installing("apps"), "ilb", &mut findings).await;
        assert!(findings.worst() == level && findings.0[0].text.contains(said), "{findings:?}");
    }
}
