//! The release is installed with the README's command.

use std::{fs, time::Instant};

use anyhow::ensure;
use ilb_testbed::{eventually, in_checkout};

use crate::{
    application::{application, client, reached},
    balancer::{FULL_NAME, lb_pod_ready},
    cluster::Cluster,
};

/// The command of the README, which was that of the predecessor's too.
const INSTALL_COMMAND: &str = "helm install my-lb ./chart --set env.relay=app=my-app --set env.updateinterval=5s";

/// Installs three backends in a namespace that admits restricted pods only.
pub(crate) async fn application_runs(cluster: &Cluster) -> anyhow::Result<String> {
    cluster.kubectl(&["label", "namespace", "default", "pod-security.kubernetes.io/enforce=restricted"])?;
    let privileged = cluster.shell("kubectl run privileged --image=ilb.test/agent:1 --privileged --dry-run=server");
    ensure!(privileged.is_err(), "the namespace admits a privileged pod, so it proves nothing");
    cluster.apply(&[application(cluster.family(), 3)])?;
    cluster.kubectl(&["rollout", "status", "deployment/my-app", "--timeout=60s"])?;
    Ok("3 pods, in a namespace that refuses privileged ones".into())
}

/// Checks that the README's command installs the release, with nothing but `--wait` added.
pub(crate) async fn readme_command_installs(cluster: &Cluster) -> anyhow::Result<String> {
    let readmes =
        ["README.md", "chart/README.md"].map(|file| fs::read_to_string(in_checkout(file)).unwrap_or_default());
    ensure!(readmes.iter().any(|text| text.contains(INSTALL_COMMAND)), "no README has the line {INSTALL_COMMAND}");
    let begun = Instant::now();
    cluster.shell(&format!("{INSTALL_COMMAND} --wait --timeout 90s"))?;
    let took = begun.elapsed().as_secs_f64();
    let pod = lb_pod_ready(cluster).await?;
    ensure!(pod.restarts.len() == 2 && pod.restarts.values().all(|count| *count == 0), "{pod:?}");
    Ok(format!("from the command to ready {took:.1} s"))
}

/// Checks that a client in a pod reaches the backends through the name of the Service.
pub(crate) async fn client_reaches_backends(cluster: &Cluster) -> anyhow::Result<String> {
    let address = format!("{FULL_NAME}.default:3333");
    cluster.apply(&[client("client", &address)])?;
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/client", "--timeout=60s"])?;
    let tally = reached(cluster, 3).await?;
    Ok(format!("{} connections through {address} to {:?}", tally.connections(), tally.pods))
}

/// Checks that the commands of the documents work, those of the predecessor's documents too.
pub(crate) async fn documented_commands_work(cluster: &Cluster) -> anyhow::Result<String> {
    let mut seen = Vec::new();
    for line in [
        format!("kubectl logs deployment/{FULL_NAME} -c ilb | grep \"Found pods\""),
        // Prints nothing where each update has succeeded, as when the killed Traefik was back before ilb looked for it.
        format!("kubectl logs deployment/{FULL_NAME} -c ilb | grep \"Failed to update\" || echo none"),
        format!("kubectl logs deployment/{FULL_NAME} -c traefik"),
        format!("kubectl get svc {FULL_NAME}"),
        format!("kubectl exec deployment/{FULL_NAME} -c ilb -- ilb status"),
        "kubectl get pods -l app=my-app".to_owned(),
        "helm status my-lb".to_owned(),
        "helm get values my-lb".to_owned(),
    ] {
        let text = cluster.shell(&line)?;
        ensure!(!text.trim().is_empty(), "`{line}` prints nothing");
        seen.push(line);
    }
    Ok(seen.join("; "))
}

/// Checks that both containers serve metrics.
pub(crate) async fn metrics_are_served(cluster: &Cluster) -> anyhow::Result<String> {
    let pod = lb_pod_ready(cluster).await?.name;
    let mut seen = Vec::new();
    for (port, prefix) in [(8081, "ilb_"), (9090, "traefik_")] {
        let path = format!("/api/v1/namespaces/default/pods/{pod}:{port}/proxy/metrics");
        let lines = eventually("metrics", async || {
            let text = cluster.kubectl(&["get", "--raw", &path])?;
            let lines = text.lines().filter(|line| line.starts_with(prefix)).count();
            ensure!(lines > 0, "no metric begins with {prefix}");
            Ok(lines)
        });
        seen.push(format!("{} of {prefix}* at {port}", lines.await?));
    }
    Ok(seen.join(", "))
}
