//! A pool is added to a running release.

use anyhow::{Context, ensure};
use ilb_testbed::eventually;
use serde_json::{Value, json};

use super::backends::{seen, watch};
use crate::{
    application::{APP, Held, Tally, client, reached},
    balancer::{FULL_NAME, LbPod, lb_pod_ready, lb_pods},
    cluster::Cluster,
};

/// Port of the pool that is added.
const SECOND_PORT: u16 = 3334;

/// Checks that an upgrade that adds a pool, and whose new pods never start, takes nothing from the old pod: neither its
/// readiness, which would remove it from the Service, nor a connection.
pub(crate) async fn pool_of_a_stuck_rollout_harms_no_old_pod(cluster: &Cluster) -> anyhow::Result<String> {
    upgrade(cluster, &[("default", 3333)], "--wait --timeout 90s")?;
    eventually("only the new pod is left", async || {
        let pods = lb_pods(cluster)?;
        ensure!(pods.len() == 1, "{pods:?}");
        Ok(())
    })
    .await?;
    let old = lb_pod_ready(cluster).await?;
    let ready_since = ready_since(cluster, &old)?;
    let _: Held = cluster.ask("client", "hold 10")?;
    watch(cluster)?;

    upgrade(cluster, &[("default", 3333), ("second", SECOND_PORT)], "--set nodeSelector.no=such-node")?;
    // The kubelet looks at the volumes of a pod when the pod changes, and once a minute.
    cluster.kubectl(&["annotate", "pod", &old.name, "ilb.test/look=now"])?;
    let degraded = eventually("the old pod has read the new settings", async || {
        let status = status(cluster, &old)?;
        let reasons = status["degraded"].as_array().context("no reasons")?;
        let reason = reasons.iter().filter_map(Value::as_str).find(|reason| reason.starts_with("pool second: "));
        Ok(reason.with_context(|| format!("{status}"))?.to_owned())
    })
    .await?;
    ensure!(degraded.contains("Traefik has no entry point second"), "{degraded}");
    // Ten connections echo for long enough that several probes have seen the new settings.
    let before: Held = cluster.ask("client", "held")?;
    eventually("the held connections are used afterwards", async || {
        let held: Held = cluster.ask("client", "held")?;
        ensure!(held.echoes >= before.echoes + 2000 || !held.cut.is_empty(), "{held:?}");
        Ok(())
    })
    .await?;
    ensure!(ready_since == self::ready_since(cluster, &old)?, "the old pod was not ready for a while");
    let tally = seen(cluster)?;
    let held: Held = cluster.ask("client", "held")?;
    ensure!(held.cut.is_empty() && held.count() == 10, "{held:?}");
    Ok(format!("{degraded}; ready all the time; 10 held, none cut; {} new, none failed", tally.connections()))
}

/// Checks that the pool is served as soon as the rollout can proceed.
pub(crate) async fn pool_is_served_once_the_rollout_proceeds(cluster: &Cluster) -> anyhow::Result<String> {
    watch(cluster)?;
    upgrade(cluster, &[("default", 3333), ("second", SECOND_PORT)], "--wait --timeout 90s")?;
    let new = lb_pod_ready(cluster).await?;
    let second = format!("{FULL_NAME}.default:{SECOND_PORT}");
    cluster.apply(&[client("client-of-second", &second)])?;
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/client-of-second", "--timeout=60s"])?;
    let tally: Tally = eventually("the added pool is served", async || {
        let tally: Tally = cluster.ask("client-of-second", "dial 10")?;
        tally.check()?;
        Ok(tally)
    })
    .await?;
    let of_first = seen(cluster)?;
    let held: Held = cluster.ask("client", "release")?;
    ensure!(held.cut.is_empty() && held.count() == 10, "{held:?}");
    let status = status(cluster, &new)?;
    ensure!(status["degraded"] == json!([]), "{status}");
    eventually("the old pod ends when its last connection has ended", async || {
        let pods = lb_pods(cluster)?;
        ensure!(pods.len() == 1, "{pods:?}");
        Ok(())
    })
    .await?;
    reached(cluster, 3).await?;
    Ok(format!(
        "{} connections to it, {} to the other one meanwhile, none failed; 10 held, none cut",
        tally.connections(),
        of_first.connections()
    ))
}

/// Upgrades the release to these pools of the application, each at its port.
fn upgrade(cluster: &Cluster, pools: &[(&str, u16)], arguments: &str) -> anyhow::Result<()> {
    let pool = |(name, port): &(&str, u16)| json!({"name": name, "selector": format!("app={APP}"), "port": port});
    let pools: Value = pools.iter().map(pool).collect();
    let upgrade = format!("helm upgrade my-lb ./chart --reset-values --set-json 'pools={pools}' {arguments}");
    cluster.shell(&upgrade).map(drop)
}

fn status(cluster: &Cluster, pod: &LbPod) -> anyhow::Result<Value> {
    // A pool without an entry point makes it degraded, which is what is looked at.
    let status = ["ilb", "status", "--allow-degraded", "-o", "json"];
    let text = cluster.kubectl(&[&["exec", &pod.name, "-c", "ilb", "--"][..], &status].concat())?;
    Ok(serde_json::from_str(&text)?)
}

/// Returns the time of the last change of the pod's readiness.
fn ready_since(cluster: &Cluster, pod: &LbPod) -> anyhow::Result<Value> {
    let pod = cluster.get(&["pod", &pod.name])?;
    let mut conditions = pod["status"]["conditions"].as_array().context("no conditions")?.iter();
    let ready = conditions.find(|condition| condition["type"] == "Ready").context("no condition Ready")?;
    ensure!(ready["status"] == "True", "it is not ready: {ready}");
    Ok(ready["lastTransitionTime"].clone())
}
