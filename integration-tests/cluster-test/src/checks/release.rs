//! The release is upgraded, rolled back, tested and uninstalled.

use std::{collections::BTreeSet, fs, thread};

use anyhow::{Context, anyhow, ensure};
use ilb_testbed::{eventually, eventually_within};

use super::backends::{seen, watch};
use crate::{
    application::{Held, reached},
    balancer::{FULL_NAME, RELEASE, lb_pod_ready, lb_pods},
    cluster::Cluster,
};

/// Checks that an upgrade to another chart and other values cuts no connection.
pub(crate) async fn upgrade_cuts_nothing(cluster: &Cluster) -> anyhow::Result<String> {
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join("chart");
    cluster.shell(&format!("cp -r chart {}", copy.display()))?;
    let file = copy.join("Chart.yaml");
    let text = fs::read_to_string(&file)?;
    let next: Vec<_> =
        text.lines().map(|line| if line.starts_with("version:") { "version: 99.0.0" } else { line }).collect();
    fs::write(&file, next.join("\n"))?;
    let values = "--reuse-values --set env.lbMethod=roundrobin --set drain.timeout=200s --set podLabels.team=blue";
    replaced(cluster, &format!("helm upgrade my-lb {} {values} --wait --timeout 90s", copy.display())).await
}

/// Checks that a rollback cuts no connection.
pub(crate) async fn rollback_cuts_nothing(cluster: &Cluster) -> anyhow::Result<String> {
    let seen = replaced(cluster, "helm rollback my-lb 1 --wait --timeout 90s").await?;
    let chart = cluster.shell("helm list --filter my-lb")?;
    ensure!(!chart.contains("99.0.0"), "still {chart}");
    Ok(seen)
}

/// Runs a command that replaces the pod of the release, while connections are held and opened.
async fn replaced(cluster: &Cluster, command: &str) -> anyhow::Result<String> {
    let old = lb_pod_ready(cluster).await?;
    let _: Held = cluster.ask("client", "hold 10")?;
    watch(cluster)?;
    cluster.shell(command)?;
    let new = lb_pod_ready(cluster).await?;
    ensure!(new.name != old.name, "the pod was not replaced");

    // After the sleep of the hook Traefik receives SIGTERM and closes its port: the moment that could cut connections.
    let closed = format!("kubectl exec client -- /agent try {}", old.at(3333));
    eventually_within(std::time::Duration::from_secs(90), "the old Traefik closes its port", async || {
        let answer = cluster.shell(&closed)?;
        ensure!(answer.trim() == "connection refused", "its port answers {answer}");
        Ok(())
    })
    .await?;
    let before: Held = cluster.ask("client", "held")?;
    let after: Held = eventually("the held connections are used afterwards", async || {
        let held: Held = cluster.ask("client", "held")?;
        ensure!(held.echoes >= before.echoes + 100 || !held.cut.is_empty(), "{held:?}");
        Ok(held)
    })
    .await?;
    ensure!(after.cut.is_empty() && after.count() == 10, "connections were cut: {after:?}");
    ensure!(
        lb_pods(cluster)?.iter().any(|pod| pod.name == old.name),
        "the old pod has ended although connections are held"
    );
    reached(cluster, 3).await?;
    let tally = seen(cluster)?;

    // A pod without connections does not wait for the end of its grace period.
    let _: Held = cluster.ask("client", "release")?;
    eventually("the old pod ends when its last connection has ended", async || {
        let pods = lb_pods(cluster)?;
        ensure!(pods.len() == 1, "{pods:?}");
        Ok(())
    })
    .await?;
    Ok(format!(
        "10 held through the old pod, none cut while its Traefik ended; {} new, none failed; the old pod ended with the last one",
        tally.connections()
    ))
}

/// Checks that `helm test` passes, and that its pod does not become an endpoint.
pub(crate) async fn helm_test_passes(cluster: &Cluster) -> anyhow::Result<String> {
    let pod = lb_pod_ready(cluster).await?;
    let slices = format!("kubernetes.io/service-name={FULL_NAME}");
    let addresses = ["get", "endpointslices", "-l", &slices, "-o", "jsonpath={.items[*].endpoints[*].addresses[*]}"];
    let mut seen = BTreeSet::new();
    thread::scope(|scope| {
        let test = scope.spawn(|| cluster.shell("helm test my-lb --logs --timeout 60s"));
        while !test.is_finished() {
            seen.insert(cluster.kubectl(&addresses)?);
        }
        let printed = test.join().map_err(|_| anyhow!("helm test panicked"))??;
        ensure!(printed.contains("Succeeded"), "{printed}");
        Ok(())
    })?;
    ensure!(seen.iter().eq([&pod.ip.to_string()]), "endpoints of the Service meanwhile: {seen:?}");
    Ok("Succeeded; the only endpoint meanwhile was the pod of the release".into())
}

/// Checks that uninstalling the release leaves no object in any namespace.
pub(crate) async fn uninstall_leaves_nothing(cluster: &Cluster) -> anyhow::Result<String> {
    let list = "kubectl get \"$(kubectl api-resources --verbs=list -o name | grep -v '^events' | paste -sd,)\" -A -o name \
                --ignore-not-found 2>/dev/null | grep my-lb || true";
    let before = cluster.shell(list)?;
    ensure!(before.contains(FULL_NAME), "the list of objects is wrong: {before}");
    cluster.shell("helm uninstall my-lb --wait --cascade foreground --timeout 60s")?;
    cluster.wait_until_removed("pods", RELEASE).await?;
    eventually("nothing is left", async || {
        let left = cluster.shell(list)?;
        ensure!(left.is_empty(), "left: {left}");
        Ok(())
    })
    .await?;
    Ok(format!("{} objects before, none after", before.lines().count()))
}

/// Checks that the application still runs.
pub(crate) async fn application_is_untouched(cluster: &Cluster) -> anyhow::Result<String> {
    let app = cluster.get(&["deployment", "my-app"])?;
    let ready = app["status"]["readyReplicas"].as_u64().context("none ready")?;
    ensure!(ready == 3, "{ready} of 3 ready");
    Ok("3 pods ready".into())
}
