//! The pods of the release: ilb and Traefik.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context, ensure};
use ilb_testbed::eventually;
use serde_json::Value;

use crate::cluster::Cluster;

/// Selector of the pods of the release.
pub(crate) const RELEASE: &str = "app.kubernetes.io/instance=my-lb";
/// Name of the objects of the release `my-lb`.
pub(crate) const FULL_NAME: &str = "my-lb-ilb";

/// A pod of the release.
#[derive(Debug)]
pub(crate) struct LbPod {
    pub(crate) name: String,
    /// Its address; an unspecified one as long as it has none.
    pub(crate) ip: IpAddr,
    pub(crate) ready: bool,
    /// True if it has been deleted and is terminating.
    pub(crate) terminating: bool,
    /// Restarts of the containers, by name.
    pub(crate) restarts: BTreeMap<String, u64>,
}

impl LbPod {
    /// Returns its address at `port`.
    pub(crate) fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, port)
    }
}

/// Returns the pods of the release.
pub(crate) fn lb_pods(cluster: &Cluster) -> anyhow::Result<Vec<LbPod>> {
    lb_pods_of(cluster, "default", RELEASE)
}

/// Returns the pods of another release.
pub(crate) fn lb_pods_of(cluster: &Cluster, namespace: &str, selector: &str) -> anyhow::Result<Vec<LbPod>> {
    let list = cluster.get(&["pods", "-n", namespace, "-l", selector])?;
    list["items"].as_array().context("no list")?.iter().map(lb_pod).collect()
}

/// Waits until the release has one pod that is not terminating, and until that is ready.
pub(crate) async fn lb_pod_ready(cluster: &Cluster) -> anyhow::Result<LbPod> {
    lb_pods_ready(cluster, 1).await?.pop().context("no pod")
}

/// Waits until the release has `count` pods that are not terminating, and until these are ready.
pub(crate) async fn lb_pods_ready(cluster: &Cluster, count: usize) -> anyhow::Result<Vec<LbPod>> {
    eventually("the pods of the release are ready", async || {
        let mut pods = lb_pods(cluster)?;
        pods.retain(|pod| !pod.terminating);
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
        ip: pod["status"]["podIP"].as_str().unwrap_or("0.0.0.0").parse()?,
        ready: ready.into_iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True"),
        terminating: pod["metadata"].get("deletionTimestamp").is_some(),
        restarts: statuses
            .map(|status| Ok((text(&status["name"])?, status["restartCount"].as_u64().unwrap_or_default())))
            .collect::<anyhow::Result<_>>()?,
    })
}

fn text(value: &Value) -> anyhow::Result<String> {
    Ok(value.as_str().with_context(|| format!("{value} is not a string"))?.to_owned())
}
