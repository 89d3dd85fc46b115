use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use ilb_testbed::eventually;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cluster::Cluster;

/// The application in front of which ilb is installed.
pub(crate) const APP: &str = "my-app";
/// What selects the pods of the release.
pub(crate) const RELEASE: &str = "app.kubernetes.io/instance=my-lb";
/// The name that the chart gives to what it installs for the release `my-lb`.
pub(crate) const FULL_NAME: &str = "my-lb-ilb";

/// What became of connections that a client has opened and closed at once.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Tally {
    /// Connections per backend's pod.
    pub(crate) pods: BTreeMap<String, u32>,
    /// Failures per reason.
    pub(crate) failed: BTreeMap<String, u32>,
    /// The longest that a backend had been terminating when a connection reached it, in milliseconds.
    pub(crate) late_millis: u64,
}

impl Tally {
    /// How many there were.
    pub(crate) fn connections(&self) -> u32 {
        self.pods.values().sum()
    }

    /// An error unless each connection reached a backend that was not leaving.
    ///
    /// A pod learns that it is to end about when ilb does, so a connection may be on its way to it: that is milliseconds,
    /// not a second.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        ensure!(self.failed.is_empty(), "of {} connections some failed: {:?}", self.connections(), self.failed);
        ensure!(self.connections() > 0, "no connection was made");
        ensure!(self.late_millis < 1000, "a backend was reached {} ms after it was told to end", self.late_millis);
        Ok(())
    }
}

/// How the connections are that a client holds and talks on.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Held {
    /// Live connections per backend's pod.
    pub(crate) open: BTreeMap<String, u32>,
    /// Those that were ended by somebody else, with the reason.
    pub(crate) cut: Vec<String>,
    /// Lines that came back.
    pub(crate) echoes: u64,
}

impl Held {
    /// How many live.
    pub(crate) fn count(&self) -> u32 {
        self.open.values().sum()
    }
}

/// One pod of the release.
#[derive(Debug)]
pub(crate) struct LbPod {
    pub(crate) name: String,
    pub(crate) ip: String,
    pub(crate) ready: bool,
    /// Whether it has been told to go.
    pub(crate) leaving: bool,
    /// Restarts of the containers, by name.
    pub(crate) restarts: BTreeMap<String, u64>,
}

/// The pods of the release.
pub(crate) fn lb_pods(cluster: &Cluster) -> anyhow::Result<Vec<LbPod>> {
    let list = cluster.get(&["pods", "-l", RELEASE])?;
    list["items"].as_array().context("no list")?.iter().map(lb_pod).collect()
}

/// The only pod of the release that is not leaving, once it is ready.
pub(crate) async fn lb_pod_ready(cluster: &Cluster) -> anyhow::Result<LbPod> {
    lb_pods_ready(cluster, 1).await?.pop().context("no pod")
}

/// The pods of the release that are not leaving, once they are so many and all ready.
pub(crate) async fn lb_pods_ready(cluster: &Cluster, count: usize) -> anyhow::Result<Vec<LbPod>> {
    eventually("the pods of the release are ready", async || {
        let mut pods = lb_pods(cluster)?;
        pods.retain(|pod| !pod.leaving);
        ensure!(pods.len() == count && pods.iter().all(|pod| pod.ready), "{pods:?}");
        Ok(pods)
    })
    .await
}

fn lb_pod(pod: &Value) -> anyhow::Result<LbPod> {
    let statuses = ["containerStatuses", "initContainerStatuses"];
    let statuses = statuses.iter().filter_map(|key| pod["status"][key].as_array()).flatten();
    let ready = pod["status"]["conditions"].as_array().into_iter().flatten();
    Ok(LbPod {
        name: text(&pod["metadata"]["name"])?,
        ip: pod["status"]["podIP"].as_str().unwrap_or_default().to_owned(),
        ready: ready.into_iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True"),
        leaving: pod["metadata"].get("deletionTimestamp").is_some(),
        restarts: statuses
            .map(|status| Ok((text(&status["name"])?, status["restartCount"].as_u64().unwrap_or_default())))
            .collect::<anyhow::Result<_>>()?,
    })
}

fn text(value: &Value) -> anyhow::Result<String> {
    Ok(value.as_str().with_context(|| format!("{value} is no text"))?.to_owned())
}

/// The names of the backends' pods that are not leaving.
pub(crate) fn backends(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    let list = cluster.get(&["pods", "-l", &format!("app={APP}")])?;
    let staying = list["items"].as_array().context("no list")?.iter();
    let staying = staying.filter(|pod| pod["metadata"].get("deletionTimestamp").is_none());
    staying.map(|pod| text(&pod["metadata"]["name"])).collect()
}

/// Waits until new connections reach exactly these many backends, each of which is a pod that stays. Only while the client
/// holds nothing: else they go to the backends that hold least.
pub(crate) async fn reached(cluster: &Cluster, count: usize) -> anyhow::Result<Tally> {
    eventually(&format!("connections reach {count} backends"), async || {
        let staying = backends(cluster)?;
        let tally: Tally = cluster.ask("client", "dial 30")?;
        tally.check()?;
        ensure!(staying.len() == count && tally.pods.keys().eq(staying.iter()), "{tally:?} with the pods {staying:?}");
        Ok(tally)
    })
    .await
}

/// The application: backends that say who they are, and that go on until their connections have ended.
pub(crate) fn application(replicas: u32) -> Value {
    let mut pod = pod(&["backend", "0.0.0.0:3333"]);
    pod["containers"][0]["readinessProbe"] = json!({"tcpSocket": {"port": 3333}, "periodSeconds": 1});
    pod["terminationGracePeriodSeconds"] = 120.into();
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": APP},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": APP}},
            "template": {"metadata": {"labels": {"app": APP}}, "spec": pod},
        },
    })
}

/// A pod whose connections go to `target`.
pub(crate) fn client(name: &str, target: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod(&["client", target])})
}

/// A pod as the level `restricted` of the pod security standards wants it.
fn pod(arguments: &[&str]) -> Value {
    json!({
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": 2,
        "containers": [{
            "name": "agent", "image": "ilb.test/agent:1", "args": arguments,
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        }],
    })
}
