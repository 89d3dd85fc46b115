//! The `NetworkPolicy` of the chart, in a network that enforces it: that of a release of its own.

use std::{fmt, net::SocketAddr, process::Command};

use anyhow::{Context, ensure};
use ilb_testbed::eventually;
use serde_json::{Value, json};

use crate::{
    application::{APP, Tally, backends, client, labelled, server},
    balancer::{LbPod, lb_pods_of},
    cluster::{Cluster, script},
};

/// Namespace of the release.
const NAMESPACE: &str = "guarded";
/// Name of the objects of the release.
const FULL_NAME: &str = "guarded-ilb";
/// Selector of the pods of the release.
const SELECTOR: &str = "app.kubernetes.io/instance=guarded,app.kubernetes.io/component!=test";
/// Name that leads to all pods of the release, at the port where siblings ask each other.
const SIBLINGS: &str = "guarded-ilb-siblings.guarded:8081";
/// Container that is added to a pod of the release, to connect from there.
const PROBE: &str = "probe";

/// Checks that the policy ends connections that were possible before the network enforced it.
///
/// What enforces is the firewall of kube-router, which knows nothing of ilb.
pub(crate) async fn strangers_are_shut_out(cluster: &Cluster) -> anyhow::Result<String> {
    let pools = json!([{"name": "app", "selector": format!("app={APP}"), "namespaces": ["default"], "port": 3333}]);
    let peer = |role: &str| json!([{"podSelector": {"matchLabels": {"role": role}}}]);
    let policy = json!({"enabled": true, "clients": peer("client"), "metrics": peer("monitoring")});
    cluster.kubectl(&["create", "namespace", NAMESPACE])?;
    cluster.shell(&format!(
        "helm install guarded ./chart --namespace {NAMESPACE} --set replicaCount=2 --set-json 'pools={pools}' \
         --set-json 'networkPolicy={policy}' --wait --timeout 90s"
    ))?;
    let target = format!("{FULL_NAME}.{NAMESPACE}:3333");
    let pod = |role: &str| labelled(client(role, &target), NAMESPACE, &json!({"role": role}));
    cluster.apply(&["client", "monitoring", "stranger"].map(pod))?;
    cluster.apply(&[labelled(server(cluster.family(), "bait"), NAMESPACE, &json!({}))])?;
    let ready = ["wait", "-n", NAMESPACE, "--for=condition=Ready", "pod", "--all", "--timeout=60s"];
    cluster.kubectl(&ready)?;
    let pods = settled_pods(cluster).await?;
    add_probe(cluster, &pods[0].name).await?;

    let unwanted = unwanted(cluster, &pods)?;
    for attempt in &unwanted {
        let outcome = attempt.outcome(cluster)?;
        ensure!(outcome == "connected", "{attempt} is impossible without a policy, so this proves nothing: {outcome}");
    }
    let status = Command::new(script("enforce")).arg(cluster.folder()).status()?;
    ensure!(status.success(), "the network does not enforce policies");
    eventually("nothing of it is possible any more", async || {
        for attempt in &unwanted {
            let outcome = attempt.outcome(cluster)?;
            ensure!(outcome != "connected", "{attempt} is still possible");
        }
        Ok(())
    })
    .await?;
    let list: Vec<_> = unwanted.iter().map(ToString::to_string).collect();
    Ok(format!("possible before and not after: {}", list.join(", ")))
}

/// Checks that the policy lets through what the release needs, also for pods that start under it.
pub(crate) async fn what_is_needed_passes(cluster: &Cluster) -> anyhow::Result<String> {
    cluster.kubectl(&["rollout", "restart", "-n", NAMESPACE, &format!("deployment/{FULL_NAME}")])?;
    let rollout = ["rollout", "status", "-n", NAMESPACE, &format!("deployment/{FULL_NAME}"), "--timeout=90s"];
    cluster.kubectl(&rollout).context("its pods do not become ready: the API server or the probes are shut out")?;
    let pods = settled_pods(cluster).await?;
    let from = &pods[0].name;
    add_probe(cluster, from).await?;

    // Names, the API server, siblings, backends, metrics, each by a connection of its own.
    for attempt in wanted(cluster, &pods)? {
        eventually("it is possible", async || {
            let outcome = attempt.outcome(cluster)?;
            ensure!(outcome == "connected", "{attempt}: {outcome}");
            Ok(())
        })
        .await?;
    }
    eventually("the replicas hear of each other", async || {
        let status = ["ilb", "status", "--allow-degraded", "-o", "json"];
        let status = cluster.kubectl(&[&["exec", "-n", NAMESPACE, from, "-c", "ilb", "--"][..], &status].concat())?;
        let siblings = &serde_json::from_str::<Value>(&status)?["siblings"];
        ensure!(siblings["heard"] == 1, "{siblings}");
        Ok(())
    })
    .await?;

    // Each change of the backends is an event of the API server.
    let victim = backends(cluster)?.pop().context("no backends")?;
    cluster.kubectl(&["delete", "pod", &victim, "--wait=false"])?;
    cluster.kubectl(&["rollout", "status", &format!("deployment/{APP}"), "--timeout=60s"])?;
    let tally: Tally = eventually("clients reach the three backends of that moment", async || {
        let staying = backends(cluster)?;
        let tally: Tally = serde_json::from_str(
            &cluster.kubectl(&["exec", "-n", NAMESPACE, "client", "--", "/agent", "ask", "dial", "30"])?,
        )?;
        tally.check()?;
        ensure!(tally.pods.keys().eq(staying.iter()) && staying.len() == 3, "{tally:?} with the pods {staying:?}");
        Ok(tally)
    })
    .await?;
    let printed = cluster.shell(&format!("helm test guarded --namespace {NAMESPACE} --logs --timeout 60s"))?;
    ensure!(printed.contains("Succeeded"), "{printed}");
    Ok(format!(
        "new pods became ready and hear of each other; names, API server, backends, metrics; {} connections of a client, \
         none failed; helm test",
        tally.connections()
    ))
}

/// Checks that new pods, too, reach nothing else, and that the ports of DNS are those that the network sees.
pub(crate) async fn nothing_else_passes(cluster: &Cluster) -> anyhow::Result<String> {
    let pods = settled_pods(cluster).await?;
    let unwanted = unwanted(cluster, &pods)?;
    for attempt in &unwanted {
        let outcome = attempt.outcome(cluster)?;
        ensure!(outcome != "connected", "{attempt} is possible");
    }
    // The pods of this cluster's DNS listen at 5353, which is what a network sees that looks at the pods' ports.
    let name = Attempt::from_release(&pods[0], &SIBLINGS);
    cluster.shell(&format!(
        "helm upgrade guarded ./chart --namespace {NAMESPACE} --reuse-values --set networkPolicy.dnsPorts={{53}}"
    ))?;
    let without = eventually("names are not found without the pods' port", async || {
        let outcome = name.outcome(cluster)?;
        ensure!(outcome != "connected", "the name is still found");
        Ok(outcome)
    })
    .await?;
    cluster.shell(&format!("helm rollback guarded --namespace {NAMESPACE}"))?;
    eventually("names are found with the default ports", async || {
        let outcome = name.outcome(cluster)?;
        ensure!(outcome == "connected", "{outcome}");
        Ok(())
    })
    .await?;
    cluster.shell(&format!("helm uninstall guarded --namespace {NAMESPACE} --wait --timeout 60s"))?;
    cluster.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"])?;
    Ok(format!("{} attempts failed; with port 53 alone no name is found ({without})", unwanted.len()))
}

/// An attempt to connect.
#[derive(Debug)]
struct Attempt {
    /// Pod in the namespace of the release.
    pod: String,
    /// Container of the pod.
    container: &'static str,
    address: String,
}

impl Attempt {
    fn from_release(pod: &LbPod, address: &impl ToString) -> Self {
        Self { pod: pod.name.clone(), container: PROBE, address: address.to_string() }
    }

    fn from_pod(pod: &str, address: &impl ToString) -> Self {
        Self { pod: pod.to_owned(), container: "agent", address: address.to_string() }
    }

    fn outcome(&self, cluster: &Cluster) -> anyhow::Result<String> {
        let container = ["exec", "-n", NAMESPACE, &self.pod, "-c", self.container];
        let answer = cluster.kubectl(&[&container[..], &["--", "/agent", "try", &self.address]].concat())?;
        Ok(answer.trim().to_owned())
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = if self.container == PROBE { "the release" } else { &self.pod };
        write!(f, "{from} to {}", self.address)
    }
}

/// Returns what a policy must prevent: a stranger at each port of the release, a client at those that are not for it, and the
/// release at a pod that is none of its backends, although it listens at the same port.
fn unwanted(cluster: &Cluster, pods: &[LbPod]) -> anyhow::Result<Vec<Attempt>> {
    let mut attempts: Vec<_> = [3333, 8081, 9090].map(|port| Attempt::from_pod("stranger", &pods[0].at(port))).into();
    attempts.push(Attempt::from_pod("stranger", &format!("{FULL_NAME}.{NAMESPACE}:3333")));
    attempts.extend([8081, 9090].map(|port| Attempt::from_pod("client", &pods[0].at(port))));
    attempts.push(Attempt::from_pod("monitoring", &pods[0].at(3333)));
    attempts.push(Attempt::from_release(&pods[0], &bait(cluster)?));
    Ok(attempts)
}

/// Returns what a policy must let through.
fn wanted(cluster: &Cluster, pods: &[LbPod]) -> anyhow::Result<Vec<Attempt>> {
    let backend = cluster.get(&["pods", "-l", &format!("app={APP}")])?;
    let backend = address(&backend["items"][0], 3333)?;
    Ok(vec![
        Attempt::from_pod("client", &pods[0].at(3333)),
        Attempt::from_pod("client", &format!("{FULL_NAME}.{NAMESPACE}:3333")),
        Attempt::from_pod("monitoring", &pods[0].at(8081)),
        Attempt::from_pod("monitoring", &pods[0].at(9090)),
        Attempt::from_release(&pods[0], &"kubernetes.default:443"),
        Attempt::from_release(&pods[0], &SIBLINGS),
        Attempt::from_release(&pods[0], &pods[1].at(8081)),
        Attempt::from_release(&pods[0], &backend),
    ])
}

/// Returns the address of a server in the namespace of the release, at the port of the backends.
fn bait(cluster: &Cluster) -> anyhow::Result<SocketAddr> {
    address(&cluster.get(&["pod", "bait", "-n", NAMESPACE])?, 3333)
}

fn address(pod: &Value, port: u16) -> anyhow::Result<SocketAddr> {
    Ok(SocketAddr::new(pod["status"]["podIP"].as_str().context("a pod without an address")?.parse()?, port))
}

/// Waits until the release has two pods and no others, and until they are ready.
async fn settled_pods(cluster: &Cluster) -> anyhow::Result<Vec<LbPod>> {
    eventually("the release has two pods", async || {
        let pods = lb_pods_of(cluster, NAMESPACE, SELECTOR)?;
        ensure!(pods.len() == 2 && pods.iter().all(|pod| pod.ready && !pod.terminating), "{pods:?}");
        Ok(pods)
    })
    .await
}

/// Adds a container with the agent to a pod of the release: what it does comes from the pod, as what ilb does.
async fn add_probe(cluster: &Cluster, pod: &str) -> anyhow::Result<()> {
    let container =
        ["--image=ilb.test/agent:1", &format!("--container={PROBE}"), "--profile=restricted", "--attach=false"];
    cluster.kubectl(&[&["debug", "-n", NAMESPACE, pod, "-q"][..], &container, &["--", "/agent", "pause"]].concat())?;
    eventually("the container runs", async || {
        let pod = cluster.get(&["pod", "-n", NAMESPACE, pod])?;
        let states = &pod["status"]["ephemeralContainerStatuses"];
        ensure!(states[0]["state"].get("running").is_some(), "{states}");
        Ok(())
    })
    .await
}
