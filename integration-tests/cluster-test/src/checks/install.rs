use std::{fs, time::Instant};

use anyhow::ensure;
use ilb_testbed::eventually;

use crate::{
    cluster::{Cluster, checkout},
    world::{FULL_NAME, application, client, lb_pod_ready, reached},
};

/// What the README tells people to type, and the predecessor's did.
const COMMAND: &str = "helm install my-lb ./chart --set env.relay=app=my-app --set env.updateinterval=5s";

/// Three backends, in a namespace that admits only what is restricted.
pub(crate) async fn application_runs(cluster: &Cluster) -> anyhow::Result<String> {
    cluster.kubectl(&["label", "namespace", "default", "pod-security.kubernetes.io/enforce=restricted"])?;
    let privileged = cluster.shell("kubectl run privileged --image=ilb.test/agent:1 --privileged --dry-run=server");
    ensure!(privileged.is_err(), "the namespace admits a privileged pod, so it proves nothing");
    cluster.apply(&[application(3)])?;
    cluster.kubectl(&["rollout", "status", "deployment/my-app", "--timeout=60s"])?;
    Ok("3 pods, in a namespace that refuses privileged ones".into())
}

/// The README's own command line, with nothing but `--wait` added.
pub(crate) async fn readme_command_installs(cluster: &Cluster) -> anyhow::Result<String> {
    let readmes =
        ["README.md", "chart/README.md"].map(|file| fs::read_to_string(checkout().join(file)).unwrap_or_default());
    ensure!(readmes.iter().any(|text| text.contains(COMMAND)), "no README has the line {COMMAND}");
    let begun = Instant::now();
    cluster.shell(&format!("{COMMAND} --wait --timeout 90s"))?;
    let took = begun.elapsed().as_secs_f64();
    let pod = lb_pod_ready(cluster).await?;
    ensure!(pod.restarts.len() == 2 && pod.restarts.values().all(|count| *count == 0), "{pod:?}");
    Ok(format!("from the command to ready {took:.1} s"))
}

/// A client in a pod, through the Service's name.
pub(crate) async fn client_reaches_backends(cluster: &Cluster) -> anyhow::Result<String> {
    let address = format!("{FULL_NAME}.default:3333");
    cluster.apply(&[client("client", &address)])?;
    cluster.kubectl(&["wait", "--for=condition=Ready", "pod/client", "--timeout=60s"])?;
    let tally = reached(cluster, 3).await?;
    Ok(format!("{} connections through {address} to {:?}", tally.connections(), tally.pods))
}

/// What the predecessor's documents say to type, and what ours say.
pub(crate) async fn documented_commands_work(cluster: &Cluster) -> anyhow::Result<String> {
    let mut seen = Vec::new();
    for line in [
        format!("kubectl logs deployment/{FULL_NAME} -c ilb | grep \"Found pods\""),
        format!("kubectl logs deployment/{FULL_NAME} -c ilb | grep \"Failed to update\""),
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

/// Both containers, by way of the API server, as a scraper in the cluster would.
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
