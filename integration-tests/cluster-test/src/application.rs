//! The application that ilb is installed for, and a client of it: pods with the agent.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use ilb_testbed::eventually;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{cluster::Cluster, family::Family};

/// Name of the application.
pub(crate) const APP: &str = "my-app";

/// The outcomes of connections that a client has opened and closed at once.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Tally {
    /// Connections per backend's pod.
    pub(crate) pods: BTreeMap<String, u32>,
    /// Failures per reason.
    pub(crate) failed: BTreeMap<String, u32>,
    /// Longest time that a backend had been terminating when a connection reached it, in milliseconds.
    pub(crate) late_millis: u64,
}

impl Tally {
    /// Returns the number of connections that reached a backend.
    pub(crate) fn connections(&self) -> u32 {
        self.pods.values().sum()
    }

    /// Returns an error unless each connection reached a backend that was not terminating.
    ///
    /// A pod receives SIGTERM at about the time that ilb sees its deletion, so a connection may be on its way to it then. That
    /// is milliseconds, not a second.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        ensure!(self.failed.is_empty(), "of {} connections some failed: {:?}", self.connections(), self.failed);
        ensure!(self.connections() > 0, "no connection was made");
        ensure!(self.late_millis < 1000, "a backend was reached {} ms after its SIGTERM", self.late_millis);
        Ok(())
    }
}

/// The state of the connections that a client holds and uses.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Held {
    /// Live connections per backend's pod.
    pub(crate) open: BTreeMap<String, u32>,
    /// Connections that were not ended by the client, with the reason.
    pub(crate) cut: Vec<String>,
    /// Number of echoed lines.
    pub(crate) echoes: u64,
}

impl Held {
    /// Returns the number of open connections.
    pub(crate) fn count(&self) -> u32 {
        self.open.values().sum()
    }
}

/// The state of clients that connect again when their connection ends.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Kept {
    /// Open connections per backend's pod.
    pub(crate) open: BTreeMap<String, u32>,
    /// Number of connections that ended while no request was under way.
    pub(crate) ended: u32,
    /// Number of requests that were sent while the connection was being closed, and have reached no backend.
    pub(crate) crossed: u32,
    /// Requests that reached a backend and have no answer.
    pub(crate) cut: Vec<String>,
    /// Number of failures to connect.
    pub(crate) refused: u32,
    /// Number of answered requests.
    pub(crate) answered: u64,
}

impl Kept {
    /// Returns the number of open connections.
    pub(crate) fn count(&self) -> u32 {
        self.open.values().sum()
    }

    /// Returns the number of connections that ended.
    pub(crate) fn moved(&self) -> u32 {
        self.ended + self.crossed + u32::try_from(self.cut.len()).unwrap_or(u32::MAX)
    }

    /// Returns an error if a request was cut, or a client could not connect again at once.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        ensure!(self.cut.is_empty(), "requests were cut: {:?}", self.cut);
        ensure!(self.refused == 0, "clients could not connect again: {self:?}");
        Ok(())
    }
}

/// Returns the names of the application's pods that are not terminating.
pub(crate) fn backends(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    backends_of(cluster, APP)
}

/// Returns the names of the pods of an application that are not terminating.
pub(crate) fn backends_of(cluster: &Cluster, application: &str) -> anyhow::Result<Vec<String>> {
    let list = cluster.get(&["pods", "-l", &format!("app={application}")])?;
    let staying = list["items"].as_array().context("no list")?.iter();
    let staying = staying.filter(|pod| pod["metadata"].get("deletionTimestamp").is_none());
    staying.map(|pod| Ok(pod["metadata"]["name"].as_str().context("a pod without a name")?.to_owned())).collect()
}

/// Waits until new connections reach exactly `count` backends, none of which is terminating.
///
/// Only while the client holds no connections: otherwise new ones go to the backends with the fewest.
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

/// Returns the application: backends that name themselves, and that end when their connections have ended.
pub(crate) fn application(family: Family, replicas: u32) -> Value {
    application_named(family, APP, replicas)
}

/// Returns an application like [`application`], of another name.
pub(crate) fn application_named(family: Family, name: &str, replicas: u32) -> Value {
    let mut pod = pod(&["backend", &format!("{}:3333", family.any_address())]);
    pod["containers"][0]["readinessProbe"] = json!({"tcpSocket": {"port": 3333}, "periodSeconds": 1});
    pod["terminationGracePeriodSeconds"] = 120.into();
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    })
}

/// Returns a pod with a client of `target`.
pub(crate) fn client(name: &str, target: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod(&["client", target])})
}

/// Returns a pod with a backend that belongs to no application.
pub(crate) fn server(family: Family, name: &str) -> Value {
    let spec = pod(&["backend", &format!("{}:3333", family.any_address())]);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
}

/// Returns the object with these labels, in this namespace.
pub(crate) fn labelled(mut object: Value, namespace: &str, labels: &Value) -> Value {
    object["metadata"]["namespace"] = namespace.into();
    object["metadata"]["labels"] = labels.clone();
    object
}

/// Returns the specification of a pod that the level `restricted` of the pod security standards allows.
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
