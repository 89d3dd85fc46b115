//! Three replicas balance as one, before, during and after a rolling upgrade of the release itself.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, ensure};
use ilb_testbed::{eventually, eventually_within};
use serde_json::{Value, json};

use super::backends::{seen_by, watch_by};
use crate::{
    application::{APP, Held, client},
    cluster::Cluster,
};

/// Namespace of the release.
const NAMESPACE: &str = "replicas";
/// Name of the objects of the release.
const FULL_NAME: &str = "trio-ilb";
/// Number of replicas.
const REPLICAS: usize = 3;
/// Number of connections that are opened at each stage: four for each backend.
const CONNECTIONS: u32 = 12;

/// Connections to each backend through all replicas, by pod.
type Totals = BTreeMap<String, u64>;

/// Checks that three replicas hear each other, and that connections that are held are level over all of them together.
pub(crate) async fn replicas_balance_as_one(cluster: &Cluster) -> anyhow::Result<String> {
    let pools = json!([{ "name": "app", "selector": format!("app={APP}"), "namespaces": ["default"], "port": 3333 }]);
    cluster.kubectl(&["create", "namespace", NAMESPACE])?;
    cluster.shell(&format!(
        "helm install trio ./chart --namespace {NAMESPACE} --set-json 'pools={pools}' --set replicaCount={REPLICAS} \
         --set drain.timeout=200s --set drain.delay=2s --wait --timeout 120s"
    ))?;
    let replicas = wait_until_hearing_all(cluster).await?;
    for name in ["old", "new"] {
        cluster.apply(&[client(name, &format!("{FULL_NAME}.{NAMESPACE}:3333"))])?;
        cluster.kubectl(&["wait", "--for=condition=Ready", &format!("pod/{name}"), "--timeout=60s"])?;
    }
    let totals = hold(cluster, "old", &replicas, &Totals::new()).await?;
    let own: Vec<u64> = replicas.iter().map(|replica| own_connections(cluster, replica)).collect::<Result<_, _>>()?;
    Ok(format!("{CONNECTIONS} connections of {own:?} replicas are {:?} together", totals.values()))
}

/// Checks that the totals stay level while all replicas are replaced and the old ones drain, and after these have ended.
pub(crate) async fn upgrade_keeps_totals_level(cluster: &Cluster) -> anyhow::Result<String> {
    let old = wait_until_hearing_all(cluster).await?;
    let before: Held = cluster.ask("old", "held")?;
    let before: Totals = before.open.iter().map(|(pod, open)| (pod.clone(), u64::from(*open))).collect();
    watch_by(cluster, "old")?;
    cluster.shell(&format!(
        "helm upgrade trio ./chart --namespace {NAMESPACE} --reuse-values --set podLabels.team=blue --wait --timeout 180s"
    ))?;
    // The old ones drain, as long as they have connections, and are heard.
    let new = wait_until_hearing_all(cluster).await?;
    ensure!(new.iter().all(|pod| !old.contains(pod)), "{new:?} are not all new: {old:?}");
    let tally = seen_by(cluster, "old")?;
    let during = hold(cluster, "new", &new, &before).await?;
    let held: Held = cluster.ask("old", "release")?;
    ensure!(held.cut.is_empty() && held.count() == CONNECTIONS, "connections were cut: {held:?}");
    eventually_within(Duration::from_secs(120), "the old replicas end", async || {
        let left = pods(cluster)?.len();
        ensure!(left == REPLICAS, "{left} pods are left");
        Ok(())
    })
    .await?;
    wait_until_hearing_all(cluster).await?;
    let held: Held = cluster.ask("new", "held")?;
    ensure!(held.cut.is_empty() && held.count() == CONNECTIONS, "connections were cut: {held:?}");
    let held: Totals = held.open.iter().map(|(pod, open)| (pod.clone(), u64::from(*open))).collect();
    let after = hold(cluster, "old", &new, &held).await?;
    Ok(format!(
        "{CONNECTIONS} connections before {:?}, {} during {:?} with {CONNECTIONS} of them on replicas that drain, {} after \
         {:?}; none of {} new ones failed, none held was cut",
        before.values(),
        2 * CONNECTIONS,
        during.values(),
        2 * CONNECTIONS,
        after.values(),
        tally.connections()
    ))
}

/// Checks that the release can be uninstalled.
pub(crate) async fn replicas_are_uninstalled(cluster: &Cluster) -> anyhow::Result<String> {
    for name in ["old", "new"] {
        let _: Held = cluster.ask(name, "release")?;
    }
    cluster.shell(&format!("helm uninstall trio --namespace {NAMESPACE} --wait --timeout 60s"))?;
    cluster.kubectl(&["delete", "--wait=false", "--grace-period=1", "pod/old", "pod/new"])?;
    eventually_within(Duration::from_secs(60), "its pods have ended", async || {
        let left = cluster.kubectl(&["get", "pods", "-n", NAMESPACE, "-o", "name"])?;
        ensure!(left.trim().is_empty(), "still there: {left}");
        Ok(())
    })
    .await?;
    Ok("its pods have ended".to_owned())
}

/// Opens connections one by one, each once all replicas that take new ones know where the others are, beside those that
/// are held already. Returns the connections to each backend, which are level.
async fn hold(cluster: &Cluster, client: &str, replicas: &[String], others: &Totals) -> anyhow::Result<Totals> {
    let mut totals = others.clone();
    for number in 1..=CONNECTIONS {
        let held: Held = cluster.ask(client, "hold 1")?;
        ensure!(held.cut.is_empty() && held.count() == number, "{held:?}");
        totals.clone_from(others);
        for (pod, open) in &held.open {
            *totals.entry(pod.clone()).or_default() += u64::from(*open);
        }
        for replica in replicas {
            wait_until_next_is_lowest(cluster, replica, &totals).await?;
        }
    }
    let (most, fewest) = (totals.values().max(), totals.values().min());
    ensure!(totals.len() == 3 && most.zip(fewest).is_some_and(|(most, fewest)| most - fewest <= 1), "{totals:?}");
    Ok(totals)
}

/// Waits until a replica knows these totals, and leads the next connection to one of the emptiest backends.
async fn wait_until_next_is_lowest(cluster: &Cluster, replica: &str, totals: &Totals) -> anyhow::Result<()> {
    eventually("the replica knows the totals", async || {
        let status = status(cluster, replica)?;
        // Those that earlier checks have deleted may still be leaving.
        let all = status["pools"][0]["backends"].as_array().context("no backends")?.iter();
        let backends: Vec<&Value> = all.filter(|backend| backend["state"] == "ready").collect();
        let field = |backend: &Value, name: &str| {
            let pod = backend["pod"].as_str().context("no pod")?.to_owned();
            Ok((pod, backend[name].as_u64().with_context(|| format!("no {name}: {backend}"))?))
        };
        let known: Totals = backends.iter().map(|b| field(b, "total")).collect::<anyhow::Result<_>>()?;
        let total = |pod: &String| totals.get(pod).copied().unwrap_or_default();
        ensure!(known.iter().all(|(pod, known)| *known == total(pod)), "{known:?}, not {totals:?}");
        let ahead: Totals = backends.iter().map(|b| field(b, "head_start")).collect::<anyhow::Result<_>>()?;
        let lowest = known.keys().map(total).min();
        let first = ahead.iter().filter(|(_, head_start)| Some(*head_start) == ahead.values().max());
        let are_lowest = first.map(|(pod, _)| Some(total(pod))).all(|total| total == lowest);
        let (sharing, pushes) = (&status["pools"][0]["sharing"], &status["traefik"]["pushes"]);
        ensure!(are_lowest, "{ahead:?} with {totals:?} at {replica}: {sharing}, {pushes}, {backends:?}");
        Ok(())
    })
    .await
}

/// Waits until three replicas take new connections, and each of them hears all others, also those that drain. Returns the
/// pods of the three.
async fn wait_until_hearing_all(cluster: &Cluster) -> anyhow::Result<Vec<String>> {
    eventually_within(Duration::from_secs(60), "the siblings are heard", async || {
        let pods = pods(cluster)?;
        let siblings = pods.len() as u64 - 1;
        let staying: Vec<String> = pods.into_iter().filter(|(_, ends)| !ends).map(|(name, _)| name).collect();
        ensure!(staying.len() == REPLICAS, "{staying:?}");
        for replica in &staying {
            let heard = status(cluster, replica)?["siblings"]["heard"].as_u64().context("there is no exchange")?;
            ensure!(heard == siblings, "{replica} hears {heard} of {siblings}");
        }
        Ok(staying)
    })
    .await
}

/// Returns the pods of the release, and whether each is terminating.
fn pods(cluster: &Cluster) -> anyhow::Result<Vec<(String, bool)>> {
    let list = cluster.get(&["pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/instance=trio"])?;
    let pods = list["items"].as_array().context("no list")?.iter();
    let pod = |pod: &Value| {
        let name = pod["metadata"]["name"].as_str().context("a pod without a name")?.to_owned();
        Ok((name, pod["metadata"].get("deletionTimestamp").is_some()))
    };
    pods.map(pod).collect()
}

fn status(cluster: &Cluster, replica: &str) -> anyhow::Result<Value> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/pods/{replica}:8081/proxy/status");
    Ok(serde_json::from_str(&cluster.kubectl(&["get", "--raw", &path])?)?)
}

/// Returns the connections that a replica has itself.
fn own_connections(cluster: &Cluster, replica: &str) -> anyhow::Result<u64> {
    let status = status(cluster, replica)?;
    let backends = status["pools"][0]["backends"].as_array().context("no backends")?;
    Ok(backends.iter().filter_map(|backend| backend["established"].as_u64()).sum())
}
