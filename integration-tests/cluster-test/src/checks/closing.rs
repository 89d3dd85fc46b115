//! Connections are closed on purpose: in a release of its own, with a closer that the kubelet runs.

use std::time::Instant;

use anyhow::{Context, ensure};
use ilb_testbed::eventually;
use serde_json::json;

use crate::{
    application::{APP, Kept, Tally, application, application_named, backends, backends_of, client, reached},
    cluster::Cluster,
};

/// Namespace of the release, which enforces no Pod Security level.
const NAMESPACE: &str = "closing";
/// Name of the objects of the release.
const FULL_NAME: &str = "closing-ilb";
/// Application of which one pod at a time has the role of the primary.
const DATABASE: &str = "my-db";
/// Time that a deleted pod has until it is killed, in seconds.
const GRACE_SECONDS: u32 = 20;

/// Checks that the chart names a namespace that does not admit the closer, and that the closer can close connections where it
/// is admitted.
pub(crate) async fn closer_runs_where_it_is_admitted(cluster: &Cluster) -> anyhow::Result<String> {
    let pools = json!([
        {
            "name": "app", "selector": format!("app={APP}"), "namespaces": ["default"], "port": 3333,
            "closing": {
                "settle": "2s", "maxPerHour": "500%",
                "rebalance": {
                    "enabled": true, "startAbove": "20%", "stopAt": "5%", "least": 2, "rate": "100%", "maxRate": 20,
                    "minAge": "1s", "quiet": "200ms",
                },
                "drain": {"enabled": true, "after": "2s", "within": "6s", "quiet": "200ms"},
            },
        },
        {
            "name": "primary", "selector": format!("app={DATABASE},role=primary"), "namespaces": ["default"], "port": 3334,
            "closing": {"settle": "1s", "onSelectorLeft": "close"},
        },
    ]);
    let closing = json!({"enabled": true, "networks": cluster.family().pod_networks()});
    let install = |namespace: &str| {
        cluster.shell(&format!(
            "helm install closing ./chart --namespace {namespace} --set-json 'pools={pools}' \
             --set-json 'closing={closing}' --wait --timeout 90s"
        ))
    };
    let refusal =
        format!("{:#}", install("default").err().context("it was installed where only restricted pods may run")?);
    ensure!(refusal.contains("the namespace default does not admit it"), "{refusal}");
    cluster.apply(&[application_named(cluster.family(), DATABASE, 2)])?;
    cluster.kubectl(&["create", "namespace", NAMESPACE])?;
    install(NAMESPACE)?;
    let log = eventually("the closer says what it can do", async || {
        let log = cluster.kubectl(&["logs", &format!("deployment/{FULL_NAME}"), "-n", NAMESPACE, "-c", "closer"])?;
        ensure!(!log.is_empty(), "nothing is logged");
        Ok(log)
    })
    .await?;
    ensure!(log.contains("Can close connections"), "{log}");
    let command =
        ["exec", &format!("deployment/{FULL_NAME}"), "-n", NAMESPACE, "-c", "closer", "--", "ilb", "closer", "--check"];
    let ability = cluster.kubectl(&command)?;
    let pods = cluster.get(&["pods", "-n", NAMESPACE])?;
    let user = pods["items"][0]["spec"]["initContainers"][0]["securityContext"]["runAsUser"].clone();
    Ok(format!("refused in default; elsewhere, as user {user} with NET_ADMIN alone: {}", ability.trim()))
}

/// Checks that clients with a connection each are spread over new pods too, without losing a request.
pub(crate) async fn scale_out_is_levelled(cluster: &Cluster) -> anyhow::Result<String> {
    const CLIENTS: u32 = 40;
    scale(cluster, APP, 2)?;
    eventually("two backends are left", async || {
        ensure!(backends(cluster)?.len() == 2, "not yet");
        Ok(())
    })
    .await?;
    cluster.apply(&[client("kept", &format!("{FULL_NAME}.{NAMESPACE}:3333"))])?;
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/kept", "--timeout=60s"])?;
    let before: Kept = cluster.ask("kept", &format!("keep {CLIENTS}"))?;
    ensure!(before.open.len() == 2 && before.count() == CLIENTS, "{before:?}");
    let begun = Instant::now();
    scale(cluster, APP, 4)?;
    let most = CLIENTS / 4 + 1;
    let level: Kept = eventually("each of four pods has its share", async || {
        let kept: Kept = cluster.ask("kept", "kept")?;
        kept.check()?;
        let is_level = kept.open.len() == 4 && kept.count() == CLIENTS && kept.open.values().all(|open| *open <= most);
        ensure!(is_level, "{kept:?}");
        Ok(kept)
    })
    .await?;
    let took = begun.elapsed().as_secs_f64();
    // Half of them have to move. One in twenty more may, since nobody sees all at the same moment.
    ensure!(level.moved() * 20 <= CLIENTS / 2 * 21, "{} connections were closed: {level:?}", level.moved());
    Ok(format!(
        "{:?} became {:?} {took:.1} s after the command; {} of {CLIENTS} moved, none of {} requests cut, {} crossed",
        before.open.values(),
        level.open.values(),
        level.moved(),
        level.answered,
        level.crossed
    ))
}

/// Checks that the connections of a deleted pod end before it is killed, one after the other, and that no request is lost.
pub(crate) async fn deleted_pod_is_drained(cluster: &Cluster) -> anyhow::Result<String> {
    let before: Kept = cluster.ask("kept", "kept")?;
    let (victim, own) = before.open.iter().next().map(|(pod, open)| (pod.clone(), *open)).context("no pod")?;
    let begun = Instant::now();
    cluster.kubectl(&["delete", "pod", &victim, &format!("--grace-period={GRACE_SECONDS}"), "--wait=false"])?;
    let after: Kept = eventually("the deleted pod has no connection any more", async || {
        let kept: Kept = cluster.ask("kept", "kept")?;
        kept.check()?;
        ensure!(!kept.open.contains_key(&victim) && kept.count() == before.count(), "{kept:?}");
        Ok(kept)
    })
    .await?;
    let took = begun.elapsed().as_secs_f64();
    // The backend goes on for seconds after its last connection, so it has not been killed if it still runs.
    let pod = cluster.get(&["pod", &victim])?;
    ensure!(pod["status"]["containerStatuses"][0]["state"].get("running").is_some(), "it has ended: {}", pod["status"]);
    let kept: Kept = cluster.ask("kept", "dismiss")?;
    kept.check()?;
    Ok(format!(
        "{own} connections of a pod with {GRACE_SECONDS} s left ended within {took:.1} s, before it was killed; none of {} \
         requests cut, {} crossed",
        after.answered - before.answered,
        after.crossed - before.crossed
    ))
}

/// Checks that all connections leave a pod when its label moves to another one.
pub(crate) async fn moved_role_is_followed(cluster: &Cluster) -> anyhow::Result<String> {
    const CLIENTS: u32 = 30;
    let [old, new] = &backends_of(cluster, DATABASE)?[..] else { anyhow::bail!("there are not two databases") };
    cluster.kubectl(&["label", "pod", old, "role=primary"])?;
    cluster.apply(&[client("of-primary", &format!("{FULL_NAME}.{NAMESPACE}:3334"))])?;
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/of-primary", "--timeout=60s"])?;
    eventually("the primary is reached", async || {
        let tally: Tally = cluster.ask("of-primary", "dial 10")?;
        tally.check()
    })
    .await?;
    let before: Kept = cluster.ask("of-primary", &format!("keep {CLIENTS}"))?;
    ensure!(before.open.keys().eq([old]) && before.count() == CLIENTS, "{before:?}");
    // Long enough for the release to have settled: each client has had an answer.
    eventually("the primary is used", async || {
        let kept: Kept = cluster.ask("of-primary", "kept")?;
        ensure!(kept.answered >= u64::from(3 * CLIENTS), "{kept:?}");
        Ok(())
    })
    .await?;
    let begun = Instant::now();
    cluster.shell(&format!("kubectl label pod {new} role=primary && kubectl label pod {old} role-"))?;
    let after: Kept = eventually("all connections are at the new primary", async || {
        let kept: Kept = cluster.ask("of-primary", "kept")?;
        ensure!(kept.open.keys().eq([new]) && kept.count() == CLIENTS, "{kept:?}");
        Ok(kept)
    })
    .await?;
    let took = begun.elapsed().as_secs_f64();
    ensure!(after.moved() == CLIENTS, "{after:?}");
    Ok(format!(
        "{CLIENTS} connections left {old} for {new} within {took:.1} s of the command; {} requests were under way",
        after.cut.len()
    ))
}

/// Checks that the release can be uninstalled, and leaves the application as it was.
pub(crate) async fn closing_release_is_uninstalled(cluster: &Cluster) -> anyhow::Result<String> {
    let closed = metric(cluster)?;
    cluster.shell(&format!("helm uninstall closing --namespace {NAMESPACE} --wait --timeout 60s"))?;
    let delete = ["delete", "--wait=false", "--grace-period=1"];
    cluster.kubectl(&[&delete[..], &["pod/kept", "pod/of-primary", &format!("deployment/{DATABASE}")]].concat())?;
    eventually("the pod of the release has ended", async || {
        let left = cluster.kubectl(&["get", "pods", "-n", NAMESPACE, "-o", "name"])?;
        ensure!(left.trim().is_empty(), "still there: {left}");
        Ok(())
    })
    .await?;
    cluster.apply(&[application(cluster.family(), 3)])?;
    reached(cluster, 3).await?;
    Ok(format!("its metrics were {closed}"))
}

/// Returns the metrics of what was closed, in one line.
fn metric(cluster: &Cluster) -> anyhow::Result<String> {
    let pods = cluster.get(&["pods", "-n", NAMESPACE])?;
    let pod = pods["items"][0]["metadata"]["name"].as_str().context("no pod")?;
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{pod}:8081/proxy/metrics");
    let text = cluster.kubectl(&["get", "--raw", &path])?;
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("ilb_closings_total{")).collect();
    for why in ["rebalance", "drain", "role"] {
        let why = format!("why=\"{why}\"");
        ensure!(lines.iter().any(|line| line.contains(&why)), "nothing is counted for {why}: {lines:?}");
    }
    Ok(lines.join(", "))
}

fn scale(cluster: &Cluster, name: &str, replicas: u32) -> anyhow::Result<()> {
    cluster.kubectl(&["scale", &format!("deployment/{name}"), &format!("--replicas={replicas}")]).map(drop)
}
