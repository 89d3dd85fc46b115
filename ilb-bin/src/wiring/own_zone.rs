//! The zone that this process runs in.

use std::time::Duration;

use axum::http::Request;
use ilb_discovery::Zone;
use kube::Client;
use serde::Deserialize;
use tokio::{sync::watch, time::sleep};

use super::pools::PoolFactory;
use crate::settings::Settings;

/// Label that names the zone of a node.
const LABEL: &str = "topology.kubernetes.io/zone";

/// Maximum time for one request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// First and longest pause after a request that failed.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// Returns the zone that is configured, or that of the node, which is asked for until it is known. Says in the log if a pool
/// prefers its own zone and that is unknown.
pub(super) async fn find(settings: &Settings, factory: &PoolFactory) -> anyhow::Result<watch::Receiver<Option<Zone>>> {
    let (sender, receiver) = watch::channel(settings.instance.zone.clone());
    let is_wanted = settings.pools.iter().any(|pool| pool.zone_max_excess.is_some());
    if settings.instance.zone.is_some() {
        return Ok(receiver);
    }
    match &settings.instance.node {
        Some(node) if settings.instance.zone_of_node => {
            let client = factory.connect_cluster().await?.client.clone();
            tokio::spawn(ask_for_zone(client, node.clone(), sender));
        }
        _ if is_wanted => tracing::warn!("{UNKNOWN}"),
        _ => {}
    }
    Ok(receiver)
}

/// Returns the factory with the own zone, as far as that is known within a few seconds.
pub(crate) async fn find_for_a_plan(settings: &Settings, factory: PoolFactory) -> anyhow::Result<PoolFactory> {
    let mut zone = find(settings, &factory).await?;
    // Without a sender there is nothing to wait for.
    let _ = tokio::time::timeout(TIMEOUT, zone.wait_for(Option::is_some)).await;
    Ok(factory.with_own_zone(zone))
}

const UNKNOWN: &str =
    "No backend is preferred for its zone: the own zone is unknown, so set ILB_ZONE or ILB_ZONE_OF_NODE=true";

/// Asks for the zone of the node until it is known, or is known not to exist.
async fn ask_for_zone(client: Client, node: String, sender: watch::Sender<Option<Zone>>) {
    let (mut pause, longest) = PAUSES;
    loop {
        match zone_of(&client, &node).await {
            Ok(Some(zone)) => {
                tracing::info!(%zone, node, "Found the own zone");
                sender.send_replace(Some(zone));
                return;
            }
            Ok(None) => {
                tracing::warn!(node, "No backend is preferred for its zone: the node has no label {LABEL}");
                return;
            }
            Err(error) if pause == PAUSES.0 => {
                tracing::warn!(node, %error, "The own zone is unknown: cannot read the node, trying again");
            }
            Err(error) => tracing::debug!(node, %error, "The own zone is still unknown"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(longest);
    }
}

/// The part of a node that says where it is.
#[derive(Deserialize)]
struct Node {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    labels: std::collections::BTreeMap<String, String>,
}

/// Returns the zone of a node; `None` if it has none.
async fn zone_of(client: &Client, node: &str) -> anyhow::Result<Option<Zone>> {
    let request = Request::get(format!("/api/v1/nodes/{node}")).body(Vec::new())?;
    let node: Node = tokio::time::timeout(TIMEOUT, client.request(request)).await??;
    Ok(node.metadata.labels.get(LABEL).and_then(|zone| zone.parse().ok()))
}
