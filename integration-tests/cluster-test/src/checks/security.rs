//! Rights and reachability in the cluster.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use anyhow::{Context, ensure};

use crate::{
    balancer::{FULL_NAME, lb_pod_ready},
    cluster::Cluster,
};

/// Checks that the API server grants the service account the rights of the Role, and no others that not every account has.
pub(crate) async fn account_has_exactly_the_rights_of_the_role(cluster: &Cluster) -> anyhow::Result<String> {
    let rights = |account: &str, namespace: &str| -> anyhow::Result<BTreeSet<String>> {
        let account = format!("--as=system:serviceaccount:default:{account}");
        let text = cluster.kubectl(&["auth", "can-i", "--list", "--no-headers", &account, "-n", namespace])?;
        Ok(text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect())
    };
    cluster.shell("kubectl create serviceaccount plain --dry-run=client -o yaml | kubectl apply -f -")?;
    let everyone = rights("plain", "default")?;
    let ours = rights(FULL_NAME, "default")?;
    let more: Vec<_> = ours.difference(&everyone).cloned().collect();
    ensure!(everyone.is_subset(&ours), "it lacks rights that every account has: {ours:?}");
    ensure!(more == ["pods [] [] [list watch]"], "the rights that not every account has are {more:?}");
    ensure!(rights(FULL_NAME, "kube-system")? == rights("plain", "kube-system")?, "it has rights in another namespace");
    cluster.kubectl(&["delete", "serviceaccount", "plain"])?;
    Ok(format!("rights that not every account has: {}; none in kube-system", more.join(", ")))
}

/// Checks that a client's pod cannot reach Traefik's write API, neither at the pod nor at the Service.
pub(crate) async fn write_api_is_out_of_reach(cluster: &Cluster) -> anyhow::Result<String> {
    let pod = lb_pod_ready(cluster).await?;
    let service = cluster.get(&["service", FULL_NAME])?;
    let service: IpAddr = service["spec"]["clusterIP"].as_str().context("no address")?.parse()?;
    let (served, at_pod, at_service) = (pod.at(3333), pod.at(8080), SocketAddr::new(service, 8080));
    let connects = cluster.reach("default", "client", &served.to_string())?;
    ensure!(connects == "connected", "the pod cannot be reached at all, so this proves nothing");
    let pod_answer = cluster.reach("default", "client", &at_pod.to_string())?;
    ensure!(pod_answer == "connection refused", "{at_pod} answers {pod_answer}");
    let service_answer = cluster.reach("default", "client", &at_service.to_string())?;
    ensure!(service_answer != "connected", "{at_service} can be reached");
    Ok(format!("{at_pod} {pod_answer}, {at_service} {service_answer}, {served} connected"))
}
