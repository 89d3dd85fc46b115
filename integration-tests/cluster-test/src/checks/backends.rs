//! Pods of the application come, go and fail under load.

use anyhow::ensure;
use ilb_testbed::eventually;

use crate::{
    application::{APP, Held, Tally, backends, reached},
    cluster::Cluster,
};

/// Checks that new pods get connections, that removed ones keep theirs, and that no connection fails meanwhile.
pub(crate) async fn scaling_loses_nothing(cluster: &Cluster) -> anyhow::Result<String> {
    watch(cluster)?;
    scale(cluster, 6)?;
    reached(cluster, 6).await?;
    let held: Held = cluster.ask("client", "hold 12")?;
    ensure!(held.open.len() == 6, "12 connections are spread over {:?}", held.open);
    scale(cluster, 2)?;
    reached(cluster, 2).await?;
    let held: Held = cluster.ask("client", "release")?;
    ensure!(held.cut.is_empty() && held.count() == 12, "{held:?}");
    let tally = seen(cluster)?;
    scale(cluster, 3)?;
    reached(cluster, 3).await?;
    Ok(format!(
        "3 to 6 to 2 pods: {} new connections, none failed, the last {} ms after the SIGTERM of a backend; 12 held, none cut",
        tally.connections(),
        tally.late_millis
    ))
}

/// Checks that a rollout of all backends under load loses no connection.
pub(crate) async fn rolling_loses_nothing(cluster: &Cluster) -> anyhow::Result<String> {
    watch(cluster)?;
    let _: Held = cluster.ask("client", "hold 9")?;
    let before = backends(cluster)?;
    cluster.kubectl(&["rollout", "restart", &format!("deployment/{APP}")])?;
    cluster.kubectl(&["rollout", "status", &format!("deployment/{APP}"), "--timeout=120s"])?;
    let tally = reached(cluster, 3).await?;
    ensure!(!tally.pods.keys().any(|pod| before.contains(pod)), "{tally:?} reaches one of {before:?}");
    let held: Held = cluster.ask("client", "release")?;
    ensure!(held.cut.is_empty() && held.count() == 9, "{held:?}");
    let tally = seen(cluster)?;
    Ok(format!(
        "{} new connections, none failed, the last {} ms after the SIGTERM of a backend; 9 held on old pods, none cut",
        tally.connections(),
        tally.late_millis
    ))
}

/// Checks that a backend that vanishes loses its own connections only.
pub(crate) async fn hard_deleted_backend_is_left_out(cluster: &Cluster) -> anyhow::Result<String> {
    let held: Held = cluster.ask("client", "hold 9")?;
    let victim = held.open.keys().next().cloned().unwrap_or_default();
    let (own, all) = (held.open[&victim], held.count());
    watch(cluster)?;
    cluster.kubectl(&["delete", "pod", &victim, "--grace-period=0", "--force"])?;
    let held: Held = eventually("the connections of the deleted pod are lost", async || {
        let held: Held = cluster.ask("client", "held")?;
        ensure!(!held.open.contains_key(&victim), "{held:?}");
        Ok(held)
    })
    .await?;
    ensure!(held.count() == all - own, "others were lost too: {held:?}");
    cluster.kubectl(&["rollout", "status", &format!("deployment/{APP}"), "--timeout=60s"])?;
    let tally: Tally = cluster.ask("client", "seen")?;
    let held: Held = cluster.ask("client", "release")?;
    ensure!(held.count() == all - own, "others were lost later: {held:?}");
    // Not earlier: while connections are held, new ones go to the backend without any.
    reached(cluster, 3).await?;
    let failed: u32 = tally.failed.values().sum();
    ensure!(failed < tally.connections() / 10, "too many new connections failed: {tally:?}");
    Ok(format!(
        "{own} of {all} connections ended with {victim}, the others live; of {} new ones {failed} failed; 3 backends again",
        tally.connections() + failed
    ))
}

fn scale(cluster: &Cluster, replicas: u32) -> anyhow::Result<()> {
    cluster.kubectl(&["scale", &format!("deployment/{APP}"), &format!("--replicas={replicas}")]).map(drop)
}

/// Makes the client open and close connections until [`seen`].
pub(crate) fn watch(cluster: &Cluster) -> anyhow::Result<()> {
    watch_by(cluster, "client")
}

/// Makes this client open and close connections until [`seen_by`].
pub(crate) fn watch_by(cluster: &Cluster, client: &str) -> anyhow::Result<()> {
    cluster.ask::<serde_json::Value>(client, "watch").map(drop)
}

/// Returns the outcomes since [`watch`]; an error if a connection was lost.
pub(crate) fn seen(cluster: &Cluster) -> anyhow::Result<Tally> {
    seen_by(cluster, "client")
}

/// Returns the outcomes since [`watch_by`]; an error if a connection was lost.
pub(crate) fn seen_by(cluster: &Cluster, client: &str) -> anyhow::Result<Tally> {
    let tally: Tally = cluster.ask(client, "seen")?;
    tally.check()?;
    Ok(tally)
}
