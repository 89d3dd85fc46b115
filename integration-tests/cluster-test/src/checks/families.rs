//! The addresses of a cluster with IPv6.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, ensure};
use ilb_testbed::eventually;
use serde_json::{Value, json};

use crate::{
    application::{APP, backends},
    balancer::{FULL_NAME, RELEASE, lb_pod_ready},
    cluster::Cluster,
};

/// Checks that everything in the cluster has IPv6 addresses and no others, the backends in the status of ilb too.
pub(crate) async fn everything_has_ipv6_alone(cluster: &Cluster) -> anyhow::Result<String> {
    let pods = cluster.get(&["pods", "-A"])?;
    let services = cluster.get(&["services", "-A"])?;
    let nodes = cluster.get(&["nodes"])?;
    let mut found: Vec<&Value> = Vec::new();
    for pod in items(&pods)? {
        found.extend(pod["status"]["podIPs"].as_array().into_iter().flatten().map(|address| &address["ip"]));
    }
    for service in items(&services)? {
        let addresses = service["spec"]["clusterIPs"].as_array().into_iter().flatten();
        found.extend(addresses.filter(|address| **address != "None"));
    }
    for node in items(&nodes)? {
        let addresses = node["status"]["addresses"].as_array().into_iter().flatten();
        found.extend(addresses.filter(|address| address["type"] == "InternalIP").map(|address| &address["address"]));
    }
    for address in &found {
        let address: IpAddr = address.as_str().context("an address that is no text")?.parse()?;
        ensure!(address.is_ipv6(), "there is the address {address}");
    }
    let status = ["exec", &format!("deployment/{FULL_NAME}"), "-c", "ilb", "--", "ilb", "status", "-o", "json"];
    let status: Value = serde_json::from_str(&cluster.kubectl(&status)?)?;
    let backends = status["pools"][0]["backends"].as_array().context("no backends")?;
    for backend in backends {
        let address: SocketAddr = backend["address"].as_str().context("a backend without an address")?.parse()?;
        ensure!(address.is_ipv6(), "ilb has the backend {address}");
    }
    ensure!(backends.len() == 3, "{status}");
    let (name, addresses) = (lb_pod_ready(cluster).await?.name, found.len());
    Ok(format!("{addresses} addresses of pods, Services and the node, and {} backends of {name}", backends.len()))
}

/// Checks that a Service of both families is served at each of its addresses, and that backends of either family can be
/// preferred while connections are open.
pub(crate) async fn service_of_both_families_is_served(cluster: &Cluster) -> anyhow::Result<String> {
    let mut seen = Vec::new();
    for family in ["prefer-ipv4", "prefer-ipv6"] {
        let pools =
            json!([{"name": "default", "port": 3333, "selector": format!("app={APP}"), "addressFamilies": family}]);
        cluster.shell(&format!(
            "helm upgrade my-lb ./chart --reset-values --set-json 'pools={pools}' \
             --set service.ipFamilyPolicy=RequireDualStack --wait --timeout 90s"
        ))?;
        // The kubelet looks at the volumes of a pod when the pod changes, and once a minute.
        let look = format!("ilb.test/look={family}");
        cluster.kubectl(&["annotate", "pods", "-l", RELEASE, "--overwrite", &look])?;
        let service = cluster.get(&["service", FULL_NAME])?;
        let addresses = service["spec"]["clusterIPs"].as_array().context("no addresses")?;
        ensure!(addresses.len() == 2, "the Service has the addresses {addresses:?}");
        for address in addresses {
            let address: IpAddr = address.as_str().context("no text")?.parse()?;
            let address = SocketAddr::new(address, 3333).to_string();
            let pods = backends(cluster)?;
            let reached = eventually("the preferred family is used", async || {
                let greeting = cluster.kubectl(&["exec", "client", "--", "/agent", "greet", &address])?;
                let (pod, at) = greeting.trim().split_once(' ').context("no greeting")?;
                let at: SocketAddr = at.parse()?;
                ensure!(pods.iter().any(|name| name == pod), "{address} leads to {pod}, which is none of {pods:?}");
                ensure!(is_ipv4(at.ip()) == (family == "prefer-ipv4"), "{address} leads to {at}");
                Ok(at)
            })
            .await?;
            seen.push(format!("{address} to {reached}"));
        }
    }
    Ok(seen.join(", "))
}

/// Returns whether a server that listens at addresses of both families was reached through IPv4.
fn is_ipv4(address: IpAddr) -> bool {
    address.to_canonical().is_ipv4()
}

fn items(list: &Value) -> anyhow::Result<&Vec<Value>> {
    list["items"].as_array().context("no list")
}
