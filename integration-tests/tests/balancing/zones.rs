//! Backends in the zone of the replica get new connections first, up to a ceiling.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Context, ensure};
use ilb_testbed::{ApiServer, Behaviour, Pods, Readiness, Traefik, World, eventually};
use k8s_openapi::api::core::v1::Node;
use kube::{Api, api::PostParams};
use serde_json::{Value, json};

/// Label of nodes, and of pods from Kubernetes 1.35 on.
const LABEL: &str = "topology.kubernetes.io/zone";
/// Backends, of which the first two are in the zone of the node.
const BACKENDS: u16 = 6;

/// Starts ilb on a node in zone `near`, before pods of which two are there, too, and waits until it has found that out.
async fn start() -> World {
    let api_server = ApiServer::shared().await.unwrap();
    let (pods, traefik) = (api_server.new_namespace("zones").await.unwrap(), Traefik::start().await.unwrap());
    let node = format!("node-of-{}", pods.namespace());
    create_node(&api_server, &node).await;
    for index in 0..BACKENDS {
        create_pod(&pods, index, if index < 2 { "near" } else { "far" }).await;
    }
    let settings = [
        ("ILB_NODE", node.as_str()),
        ("ILB_ZONE_OF_NODE", "true"),
        ("ILB_ZONES", "prefer"),
        ("ILB_ZONE_MAX_EXCESS", "100%"),
    ];
    let mut world = World::from_parts(api_server, pods, traefik, &settings).unwrap();
    for index in 0..BACKENDS {
        world.add_backend(index, Behaviour::Echo).await.unwrap();
        world.set_pod(index, Readiness::Ready).await.unwrap();
    }
    world.wait_until_in_force(BACKENDS.into()).await.unwrap();
    world
}

async fn create_node(api_server: &ApiServer, name: &str) {
    let node = json!({"metadata": {"name": name, "labels": {LABEL: "near"}}});
    let nodes = Api::<Node>::all(api_server.client());
    nodes.create(&PostParams::default(), &serde_json::from_value(node).unwrap()).await.unwrap();
}

async fn create_pod(pods: &Pods, index: u16, zone: &str) {
    let name = World::pod(index);
    pods.create(&name).await.unwrap();
    pods.label(&name, BTreeMap::from([(LABEL, Some(zone))])).await.unwrap();
}

/// Returns the status of the pool.
async fn pool(world: &World) -> anyhow::Result<Value> {
    Ok(world.admin.status().await?["pools"][0].clone())
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn backends_in_the_zone_of_the_node_come_first_until_they_have_twice_the_mean() {
    let world = start().await;
    eventually("the own zone is known", async || {
        let zones = pool(&world).await?["zones"].clone();
        ensure!(zones["own"] == "near", "{zones}");
        Ok(())
    })
    .await
    .unwrap();
    let (mut open, mut counts) = (Vec::new(), [0.0; BACKENDS as usize]);
    for number in 1..=48 {
        wait_for_plan(&world, &counts).await;
        let connection = world.traefik.connect().await.unwrap();
        counts[usize::from(index_of(&world, connection.backend()))] += 1.0;
        open.push(connection);
        wait_until_counted(&world, number).await;
    }
    // The mean is 8, so that a near one may have 16, and one on top: the plan tolerates a connection.
    assert!(counts[..2].iter().all(|count| (13.0..=17.0).contains(count)), "{counts:?}");
    assert!(counts[2..].iter().all(|count| (3.0..=6.0).contains(count)), "{counts:?}");
    let zones = pool(&world).await.unwrap()["zones"].clone();
    assert_eq!(zones["connections_in_own"].as_f64(), Some(counts[0] + counts[1]), "{zones}");
}

/// Waits until the next connection is led to a backend that is about as low as the lowest: a plan tolerates one connection,
/// and rounds parts of one.
async fn wait_for_plan(world: &World, counts: &[f64; BACKENDS as usize]) {
    let heights = heights(counts);
    let lowest = heights.iter().copied().fold(f64::INFINITY, f64::min);
    eventually("the next connection is led to the lowest backend", async || {
        let pool = pool(world).await?;
        let backends = pool["backends"].as_array().context("no backends")?;
        let ahead = |backend: &Value| backend["head_start"].as_u64();
        let highest = backends.iter().filter_map(ahead).max();
        for first in backends.iter().filter(|backend| ahead(backend) == highest) {
            let address = first["address"].as_str().context("no address")?.parse()?;
            let height = heights[usize::from(index_of(world, address))];
            ensure!(height <= lowest + 2.0, "{first} with {counts:?}");
        }
        Ok(())
    })
    .await
    .unwrap();
}

/// Returns where the backends stand: one in the own zone is below the highest of the others by what it lacks of twice the mean.
fn heights(counts: &[f64; BACKENDS as usize]) -> [f64; BACKENDS as usize] {
    let ceiling = 2.0 * counts.iter().sum::<f64>() / f64::from(BACKENDS);
    let highest = counts[2..].iter().copied().fold(0.0, f64::max);
    let mut heights = *counts;
    for near in &mut heights[..2] {
        *near = near.min(highest - (ceiling - *near));
    }
    heights
}

fn index_of(world: &World, backend: SocketAddr) -> u16 {
    (0..BACKENDS).find(|index| world.address(*index) == backend).unwrap()
}

async fn wait_until_counted(world: &World, connections: u64) {
    eventually("the connections are counted", async || {
        let pool = pool(world).await?;
        let backends = pool["backends"].as_array().context("no backends")?;
        let counted: u64 = backends.iter().filter_map(|backend| backend["established"].as_u64()).sum();
        ensure!(counted == connections, "{counted} of {connections}");
        Ok(())
    })
    .await
    .unwrap();
}
