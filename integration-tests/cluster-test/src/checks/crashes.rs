//! Containers of the release are killed.

use std::{process::Command, time::Instant};

use anyhow::{Context, ensure};
use ilb_testbed::eventually;

use super::backends::{seen, watch};
use crate::{
    application::{Held, Tally, reached},
    balancer::{LbPod, lb_pod_ready, lb_pods, lb_pods_ready},
    cluster::{Cluster, script},
};

/// Checks that killing the container of ilb cuts no connection.
///
/// Kubernetes removes a pod from its Services while one of its containers does not run. Where it is the only pod, new clients
/// are refused for that time, and nothing in the pod can prevent that; their number is reported. Nothing else may happen to
/// them. With two pods no client notices anything: that is a check of its own.
pub(crate) async fn end_of_ilb_touches_nothing(cluster: &Cluster) -> anyhow::Result<String> {
    let _: Held = cluster.ask("client", "hold 10")?;
    watch(cluster)?;
    let (pod, took) = kill(cluster, &lb_pod_ready(cluster).await?, "ilb").await?;
    ensure!(pod.restarts.get("traefik") == Some(&0), "Traefik was restarted too: {pod:?}");
    let tally: Tally = cluster.ask("client", "seen")?;
    let refused = tally.failed.get("Connection refused (os error 111)").copied().unwrap_or_default();
    ensure!(tally.failed.len() <= usize::from(refused > 0), "new connections failed: {tally:?}");
    let held: Held = cluster.ask("client", "release")?;
    ensure!(held.cut.is_empty() && held.count() == 10, "{held:?}");
    reached(cluster, 3).await?;
    Ok(format!(
        "ready again after {took:.1} s; 10 held, none cut; of {} new ones the only pod's Service refused {refused} while it was away",
        tally.connections() + refused
    ))
}

/// Checks that killing the container of ilb in one of two pods fails no new connection either.
pub(crate) async fn end_of_one_ilb_of_two_is_not_noticed(cluster: &Cluster) -> anyhow::Result<String> {
    scale(cluster, 2)?;
    let pods = lb_pods_ready(cluster, 2).await?;
    let _: Held = cluster.ask("client", "hold 10")?;
    watch(cluster)?;
    for pod in &pods {
        kill(cluster, pod, "ilb").await?;
    }
    let tally = seen(cluster)?;
    let held: Held = cluster.ask("client", "release")?;
    ensure!(held.cut.is_empty() && held.count() == 10, "{held:?}");
    Ok(format!("in both pods, one after the other: 10 held, none cut; {} new ones, none failed", tally.connections()))
}

/// Checks that a killed container of Traefik, which comes back empty, is configured again.
pub(crate) async fn end_of_traefik_is_repaired(cluster: &Cluster) -> anyhow::Result<String> {
    let before = lb_pod_ready(cluster).await?;
    let (pod, took) = kill(cluster, &before, "traefik").await?;
    ensure!(pod.restarts.get("ilb") == before.restarts.get("ilb"), "ilb was restarted too: {pod:?}");
    let tally = reached(cluster, 3).await?;
    Ok(format!(
        "ready again after {took:.1} s, ilb not restarted; {} new connections, none failed",
        tally.connections()
    ))
}

/// Scales the release back to the one replica that the checks after it are made for.
pub(crate) async fn one_replica_is_left(cluster: &Cluster) -> anyhow::Result<String> {
    scale(cluster, 1)?;
    Ok("scaled to 1".to_owned())
}

fn scale(cluster: &Cluster, replicas: u32) -> anyhow::Result<()> {
    let values = format!("--reuse-values --set replicaCount={replicas}");
    cluster.shell(&format!("helm upgrade my-lb ./chart {values} --wait --timeout 90s")).map(drop)
}

/// Kills the container and waits until the pod is ready with one more restart. Returns how long that took, in seconds.
async fn kill(cluster: &Cluster, before: &LbPod, container: &str) -> anyhow::Result<(LbPod, f64)> {
    let restarts = *before.restarts.get(container).with_context(|| format!("no container {container}"))?;
    let id = cluster.get(&["pod", &before.name])?;
    let id = ["containerStatuses", "initContainerStatuses"].iter().filter_map(|key| id["status"][key].as_array());
    let id = id.flatten().find(|status| status["name"] == container).and_then(|status| status["containerID"].as_str());
    let id = id.and_then(|id| id.strip_prefix("containerd://")).context("no id")?.to_owned();
    let begun = Instant::now();
    let status =
        Command::new(script("ctr")).arg(cluster.folder()).args(["task", "kill", "-s", "KILL", &id]).status()?;
    ensure!(status.success(), "cannot kill {container}");
    let pod = eventually("the container runs again", async || {
        let mut pods = lb_pods(cluster)?.into_iter();
        let pod = pods.find(|pod| pod.name == before.name).context("the pod was replaced")?;
        ensure!(pod.ready && pod.restarts.get(container) == Some(&(restarts + 1)), "{pod:?}");
        Ok(pod)
    })
    .await?;
    Ok((pod, begun.elapsed().as_secs_f64()))
}
