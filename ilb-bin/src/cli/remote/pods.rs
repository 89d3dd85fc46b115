//! The pods of a cluster that a command asks.

use anyhow::{bail, ensure};
use kube::Client;
use serde_json::Value;

use super::target::{Target, Workload};
use crate::wiring::objects::{Unread, get, list, text};

/// Question for the replicas of ilb in a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) target: Option<Target>,
    /// Namespace to search; `None` for all of them.
    pub(super) namespace: Option<String>,
    /// Label selector.
    pub(super) labels: Option<String>,
    /// Port of the admin server; `None` for the one that the pod names.
    pub(super) port: Option<u16>,
}

/// Replica of ilb in a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) node: Option<String>,
    /// Release of the chart that it belongs to.
    pub(crate) release: Option<String>,
    /// True if it has been deleted and is draining.
    pub(crate) is_leaving: bool,
    /// Phase of its life, such as `Running`.
    pub(crate) phase: String,
    /// Port of its admin server.
    pub(crate) port: u16,
}

/// Label with the release of a chart.
const RELEASE_LABEL: &str = "app.kubernetes.io/instance";

/// Label selector of all pods that the chart creates.
const ALL_OF_THE_CHART: &str = "app.kubernetes.io/name=ilb";

/// Name of the container, and of its port, in the chart.
const CONTAINER: &str = "ilb";

/// Port of an admin server with the default address.
const DEFAULT_PORT: u16 = 8081;

/// Returns the replicas that a question is about, by namespace and name; never none.
pub(super) async fn find(client: &Client, query: &Query) -> anyhow::Result<Vec<Pod>> {
    let found = match &query.target {
        None => list_pods(client, query, Some(query.labels.as_deref().unwrap_or(ALL_OF_THE_CHART))).await?,
        Some(_) if query.labels.is_some() => bail!("a name and -l exclude each other: give one of them"),
        Some(Target::Release(name)) => of_release(client, query, name).await?,
        Some(Target::Pod(name)) => of_pod(client, query, name).await?.into_iter().collect(),
        Some(Target::Workload(kind, name)) => of_workload(client, query, *kind, name).await?.unwrap_or_default(),
        Some(Target::Any(name)) => of_any(client, query, name).await?,
    };
    let mut pods: Vec<_> = found.iter().filter_map(|pod| Pod::from_object(pod, query.port)).collect();
    ensure!(!pods.is_empty(), "{}", nothing(query, found.len()));
    pods.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Ok(pods)
}

impl Pod {
    /// Returns the place of its files among those of other pods.
    pub(crate) fn folder(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// Reads the fields of a pod; `None` if it has ended or has nothing of ilb, such as the pod of a `helm test`.
    fn from_object(pod: &Value, port: Option<u16>) -> Option<Self> {
        let phase = text(pod, "/status/phase").unwrap_or("Unknown").to_owned();
        let containers = pod.pointer("/spec/containers").and_then(Value::as_array)?;
        let sidecars = pod.pointer("/spec/initContainers").and_then(Value::as_array);
        let mut containers = containers.iter().chain(sidecars.into_iter().flatten());
        let own = containers.find(|container| text(container, "/name") == Some(CONTAINER))?;
        let ports = own.pointer("/ports").and_then(Value::as_array).into_iter().flatten();
        let mut named = ports.filter(|port| text(port, "/name") == Some(CONTAINER));
        let named = named.find_map(|port| port.pointer("/containerPort")?.as_u64());
        (phase != "Succeeded" && phase != "Failed").then_some(())?;
        Some(Self {
            namespace: text(pod, "/metadata/namespace")?.to_owned(),
            name: text(pod, "/metadata/name")?.to_owned(),
            node: text(pod, "/spec/nodeName").map(str::to_owned),
            release: pod.pointer("/metadata/labels")?.get(RELEASE_LABEL).and_then(Value::as_str).map(str::to_owned),
            is_leaving: pod.pointer("/metadata/deletionTimestamp").is_some_and(|date| !date.is_null()),
            phase,
            port: port.or(named.and_then(|port| u16::try_from(port).ok())).unwrap_or(DEFAULT_PORT),
        })
    }
}

async fn of_release(client: &Client, query: &Query, name: &str) -> anyhow::Result<Vec<Value>> {
    list_pods(client, query, Some(&format!("{RELEASE_LABEL}={name}"))).await
}

async fn of_pod(client: &Client, query: &Query, name: &str) -> anyhow::Result<Option<Value>> {
    let namespace = one_namespace(query, name)?;
    found(get(client, &format!("/api/v1/namespaces/{namespace}/pods/{name}")).await, &format!("pod {namespace}/{name}"))
}

/// Returns the pods of a workload; `None` if there is no such workload.
async fn of_workload(client: &Client, query: &Query, kind: Workload, name: &str) -> anyhow::Result<Option<Vec<Value>>> {
    let (namespace, word) = (one_namespace(query, name)?, kind.word());
    let path = format!("/apis/apps/v1/namespaces/{namespace}/{word}s/{name}");
    let Some(workload) = found(get(client, &path).await, &format!("{word} {namespace}/{name}"))? else {
        return Ok(None);
    };
    let selector = workload.pointer("/spec/selector").map(selector).unwrap_or_default();
    // An empty selector would be all pods of the namespace.
    ensure!(!selector.is_empty(), "the {word} {namespace}/{name} has no selector");
    list_pods(client, query, Some(&selector)).await.map(Some)
}

/// Returns the pods of the first thing that has this name: a release, a pod, a workload.
async fn of_any(client: &Client, query: &Query, name: &str) -> anyhow::Result<Vec<Value>> {
    let of_release = of_release(client, query, name).await?;
    if !of_release.is_empty() || query.namespace.is_none() {
        return Ok(of_release);
    }
    if let Some(pod) = of_pod(client, query, name).await? {
        return Ok(vec![pod]);
    }
    for kind in Workload::ALL {
        if let Some(pods) = of_workload(client, query, kind, name).await? {
            return Ok(pods);
        }
    }
    Ok(Vec::new())
}

async fn list_pods(client: &Client, query: &Query, selector: Option<&str>) -> anyhow::Result<Vec<Value>> {
    let (path, place) = match &query.namespace {
        Some(namespace) => (format!("/api/v1/namespaces/{namespace}/pods"), format!("namespace {namespace}")),
        None => ("/api/v1/pods".to_owned(), "all namespaces".to_owned()),
    };
    list(client, &path, selector)
        .await
        .map_err(|unread| anyhow::anyhow!("cannot list pods in {place}: {}", unread.reason()))
}

/// Returns an answer as one that may be missing.
fn found(answer: Result<Value, Unread>, what: &str) -> anyhow::Result<Option<Value>> {
    match answer {
        Ok(object) => Ok(Some(object)),
        Err(Unread::NotFound) => Ok(None),
        Err(unread) => bail!("cannot read the {what}: {}", unread.reason()),
    }
}

fn one_namespace<'a>(query: &'a Query, name: &str) -> anyhow::Result<&'a str> {
    match &query.namespace {
        Some(namespace) => Ok(namespace),
        None => bail!("{name} is in one namespace: give that with -n instead of -A"),
    }
}

/// Writes the selector of an object as the parameter of a list.
fn selector(selector: &Value) -> String {
    let labels = selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten();
    let labels = labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()));
    let expressions = selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten();
    let expressions = expressions.filter_map(|expression| {
        let key = text(expression, "/key")?;
        let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
        let values = values.filter_map(Value::as_str).collect::<Vec<_>>().join(",");
        Some(match text(expression, "/operator")? {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        })
    });
    labels.chain(expressions).collect::<Vec<_>>().join(",")
}

/// Says that a question has no answer; `others` is the number of pods that have nothing of ilb.
fn nothing(query: &Query, others: usize) -> String {
    let place = query.namespace.as_ref().map_or("in any namespace".to_owned(), |name| format!("in namespace {name}"));
    let way_out = "name another, or another namespace with -n, or search all with -A";
    match (&query.target, &query.labels) {
        _ if others > 0 => {
            format!("{others} pods were found {place}, and none runs a container {CONTAINER}: {way_out}")
        }
        (Some(Target::Release(name)), _) => format!("there is no release {name} {place}: {way_out}"),
        (Some(Target::Pod(name)), _) => format!("there is no pod {name} {place}: {way_out}"),
        (Some(Target::Workload(kind, name)), _) => {
            format!("there is no {} {name} with pods {place}: {way_out}", kind.word())
        }
        (Some(Target::Any(name)), _) => {
            format!("there is no release, pod, deployment, daemonset or statefulset {name} {place}: {way_out}")
        }
        (None, Some(labels)) => format!("no pod has the labels {labels} {place}: {way_out}"),
        (None, None) => format!("no pod has the label {ALL_OF_THE_CHART} {place}: {way_out}, or by labels with -l"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::wiring::objects::testing::api_server;

    fn pod(name: &str, container: &str, phase: &str) -> Value {
        json!({
            "metadata": {"name": name, "namespace": "apps", "labels": {RELEASE_LABEL: "lb"}},
            "spec": {"nodeName": "n1", "containers": [
                {"name": "traefik", "ports": [{"name": "tcp", "containerPort": 3333}]},
                {"name": container, "ports": [{"name": "ilb", "containerPort": 8181}]},
            ]},
            "status": {"phase": phase},
        })
    }

    fn server() -> Client {
        let (all, of_release) = ("app.kubernetes.io%2Fname%3Dilb", "app.kubernetes.io%2Finstance%3D");
        let mut leaving = pod("lb-1", "ilb", "Running");
        leaving["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let two = json!({"items": [pod("lb-2", "ilb", "Running"), leaving, pod("lb-0", "ilb", "Failed")]});
        let workload = json!({"spec": {"selector": {
            "matchLabels": {"a": "b"},
            "matchExpressions": [
                {"key": "c", "operator": "In", "values": ["d", "e"]},
                {"key": "f", "operator": "DoesNotExist"},
            ],
        }}});
        api_server(&[
            (&format!("GET /api/v1/namespaces/apps/pods?limit=500&labelSelector={of_release}lb"), two.clone()),
            (
                &format!("GET /api/v1/namespaces/apps/pods?limit=500&labelSelector={of_release}web"),
                json!({"items": [pod("w", "nginx", "Running")]}),
            ),
            (
                &format!("GET /api/v1/namespaces/apps/pods?limit=500&labelSelector={of_release}one"),
                json!({"items": []}),
            ),
            (
                &format!("GET /api/v1/namespaces/apps/pods?limit=500&labelSelector={of_release}lb-2"),
                json!({"items": []}),
            ),
            ("GET /api/v1/namespaces/apps/pods/lb-2", pod("lb-2", "ilb", "Running")),
            (&format!("GET /api/v1/pods?limit=500&labelSelector={all}"), two),
            ("GET /apis/apps/v1/namespaces/apps/daemonsets/one", workload),
            (
                "GET /api/v1/namespaces/apps/pods?limit=500&labelSelector=a%3Db%2Cc+in+%28d%2Ce%29%2C%21f",
                json!({"items": [pod("x", "ilb", "Pending")]}),
            ),
            ("GET /api/v1/namespaces/apps/pods?limit=500&labelSelector=x%3Dy", json!(403)),
        ])
    }

    fn query(target: Option<&str>, namespace: Option<&str>, labels: Option<&str>) -> Query {
        Query {
            target: target.map(|target| target.parse().unwrap()),
            namespace: namespace.map(str::to_owned),
            labels: labels.map(str::to_owned),
            port: None,
        }
    }

    #[rstest]
    #[case::release(Some("lb"), Some("apps"), &["lb-1", "lb-2"])]
    #[case::release_by_kind(Some("release/lb"), Some("apps"), &["lb-1", "lb-2"])]
    #[case::pod(Some("pod/lb-2"), Some("apps"), &["lb-2"])]
    #[case::pod_by_its_name_alone(Some("lb-2"), Some("apps"), &["lb-2"])]
    #[case::workload(Some("ds/one"), Some("apps"), &["x"])]
    #[case::workload_by_its_name_alone(Some("one"), Some("apps"), &["x"])]
    #[case::everything(None, None, &["lb-1", "lb-2"])]
    #[tokio::test]
    async fn the_pods_that_a_name_stands_for_are_found(
        #[case] target: Option<&str>,
        #[case] namespace: Option<&str>,
        #[case] names: &[&str],
    ) {
        let found = find(&server(), &query(target, namespace, None)).await.unwrap();
        assert_eq!(found.iter().map(|pod| pod.name.as_str()).collect::<Vec<_>>(), names);
        assert!(found.iter().all(|pod| pod.port == 8181 && pod.is_leaving == (pod.name == "lb-1")), "{found:?}");
    }

    #[rstest]
    #[case::nothing(Some("deploy/none"), Some("apps"), None, "there is no deployment none with pods in namespace apps")]
    #[case::not_ilb(
        Some("web"),
        Some("apps"),
        None,
        "1 pods were found in namespace apps, and none runs a container ilb"
    )]
    #[case::no_right(None, Some("apps"), Some("x=y"), "cannot list pods in namespace apps")]
    #[case::both(Some("lb"), Some("apps"), Some("x=y"), "exclude each other")]
    #[case::everywhere(Some("pod/lb-2"), None, None, "give that with -n instead of -A")]
    #[tokio::test]
    async fn a_question_without_an_answer_is_an_error_with_the_way_out(
        #[case] target: Option<&str>,
        #[case] namespace: Option<&str>,
        #[case] labels: Option<&str>,
        #[case] said: &str,
    ) {
        let error = find(&server(), &query(target, namespace, labels)).await.unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }

    #[tokio::test]
    async fn a_given_port_wins() {
        let query = Query { port: Some(9000), ..query(Some("pod/lb-2"), Some("apps"), None) };
        assert_eq!(find(&server(), &query).await.unwrap()[0].port, 9000);
    }
}
