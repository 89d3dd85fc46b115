use std::collections::BTreeSet;

use anyhow::{Context, ensure};

use crate::{
    cluster::Cluster,
    world::{FULL_NAME, lb_pod_ready},
};

/// What the service account may do beyond what any account may, as the API server sees it.
pub(crate) async fn account_may_exactly_what_the_role_says(cluster: &Cluster) -> anyhow::Result<String> {
    let may = |account: &str, namespace: &str| -> anyhow::Result<BTreeSet<String>> {
        let account = format!("--as=system:serviceaccount:default:{account}");
        let text = cluster.kubectl(&["auth", "can-i", "--list", "--no-headers", &account, "-n", namespace])?;
        Ok(text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect())
    };
    cluster.shell("kubectl create serviceaccount nobody --dry-run=client -o yaml | kubectl apply -f -")?;
    let anybody = may("nobody", "default")?;
    let ours = may(FULL_NAME, "default")?;
    let more: Vec<_> = ours.difference(&anybody).cloned().collect();
    ensure!(anybody.is_subset(&ours), "it may less than anybody: {ours:?}");
    ensure!(more == ["pods [] [] [list watch]"], "beyond anybody it may {more:?}");
    ensure!(may(FULL_NAME, "kube-system")? == may("nobody", "kube-system")?, "it may something in another namespace");
    cluster.kubectl(&["delete", "serviceaccount", "nobody"])?;
    Ok(format!("beyond what any account may: {}; nothing in kube-system", more.join(", ")))
}

/// From a client's pod, Traefik's write API is not there, neither at the pod nor at the Service.
pub(crate) async fn write_api_is_out_of_reach(cluster: &Cluster) -> anyhow::Result<String> {
    let pod = lb_pod_ready(cluster).await?.ip;
    let service = cluster.get(&["service", FULL_NAME])?;
    let service = service["spec"]["clusterIP"].as_str().context("no address")?;
    let answer = |address: String| -> anyhow::Result<String> {
        let answer = cluster.kubectl(&["exec", "client", "--", "/agent", "try", &address])?;
        Ok(answer.trim().to_owned())
    };
    ensure!(answer(format!("{pod}:3333"))? == "connected", "the pod cannot be reached at all, so this proves nothing");
    let at_pod = answer(format!("{pod}:8080"))?;
    ensure!(at_pod == "connection refused", "{pod}:8080 says {at_pod}");
    let at_service = answer(format!("{service}:8080"))?;
    ensure!(at_service != "connected", "{service}:8080 can be reached");
    Ok(format!("{pod}:8080 {at_pod}, {service}:8080 {at_service}, {pod}:3333 connected"))
}
