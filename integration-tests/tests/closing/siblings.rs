//! Two replicas that know of each other level what both have together, and close nothing while one does not hear the other.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, time::Duration};

use ilb_testbed::{Admin, ApiServer, Backend, Behaviour, Neighbour, Net, Network, Signal, eventually, host_network};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use crate::{
    crowd::{AfterEnd, Crowd},
    replicas::Replica,
    scene::{alone, backend, backends_file},
};

const CLIENTS: usize = 400;

/// Address at which the API server is reached from both pods, and those of the siblings.
const API_SERVER: ([u8; 4], u16) = ([10, 9, 2, 1], 6443);
const SIBLINGS: [[u8; 4]; 2] = [[10, 9, 1, 1], [10, 254, 0, 2]];

async fn closing(admin: &Admin) -> anyhow::Result<Value> {
    Ok(admin.status().await?["pools"][0]["closing"].clone())
}

/// Waits until the connections of both replicas together are level over so many backends, and no run goes on.
async fn wait_until_level(crowd: &Crowd, admins: &[Admin], backends: usize) -> BTreeMap<SocketAddr, usize> {
    eventually("both together are level", async || {
        let counts = crowd.counts();
        let (most, sum) = (counts.values().max().copied().unwrap_or(0), counts.values().sum::<usize>());
        // It stops at 1.05 times the mean, or one more than that.
        let is_level = sum == CLIENTS && counts.len() == backends && most * backends * 100 <= CLIENTS * 106;
        anyhow::ensure!(is_level, "{counts:?}");
        for admin in admins {
            let closing = closing(admin).await?;
            anyhow::ensure!(closing["state"] == "idle", "{closing}");
        }
        Ok(counts)
    })
    .await
    .unwrap()
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn siblings_level_their_totals_and_close_nothing_while_one_is_not_heard() {
    if !alone("siblings::siblings_level_their_totals_and_close_nothing_while_one_is_not_heard") {
        return;
    }
    host_network("10.9.0.0/16").unwrap();
    let other = Neighbour::pod("10.9.0.0/16").unwrap();
    let api_server = ApiServer::start().await.unwrap();
    api_server.forward(API_SERVER.into()).await.unwrap();
    let namespace = api_server.new_namespace("closing").await.unwrap();
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "ilb-siblings-1", "labels": {"kubernetes.io/service-name": "ilb-siblings"}},
        "addressType": "IPv4",
        "ports": [{"name": "ilb", "port": 8081, "protocol": "TCP"}],
        "endpoints": SIBLINGS.map(|host| json!({"addresses": [SocketAddr::from((host, 8081)).ip()]})),
    });
    api_server.create::<EndpointSlice>(namespace.namespace(), slice).await.unwrap();
    let mut backends = Vec::new();
    for number in 1..=10 {
        let behaviour = Behaviour::EchoLater(Duration::from_millis(20));
        backends.push(Backend::start(backend(number), behaviour).await.unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backends.yaml");
    list(&file, 4);
    let kubeconfig = api_server.kubeconfig_via(API_SERVER.into()).unwrap();
    let siblings = format!("ilb-siblings.{}", namespace.namespace());
    let admins = SIBLINGS.map(|host| Admin::new((host, 8081).into()).unwrap());
    let addresses = admins.each_ref().map(|admin| admin.address().to_string());
    let more = |address| {
        [
            ("KUBECONFIG", kubeconfig.to_str().unwrap()),
            ("ILB_SIBLINGS", siblings.as_str()),
            ("ILB_ADMIN_ADDRESS", address),
        ]
    };
    let own_address = Net::for_this_process().unwrap().host().unwrap();
    let replicas = [
        Replica::start(Network::default(), own_address, &file, &more(&addresses[0])).await,
        Replica::start(other.network(), Neighbour::ADDRESS, &file, &more(&addresses[1])).await,
    ];
    for admin in &admins {
        eventually("it hears the other one", async || {
            let status = admin.status().await?;
            anyhow::ensure!(status["siblings"]["heard"] == 1, "{}", status["siblings"]);
            Ok(())
        })
        .await
        .unwrap();
    }
    // Most of them are at the first replica.
    let entries = replicas.each_ref().map(|replica| replica.traefik.entry_point());
    let crowd =
        Crowd::connect_to_any(&[entries[0], entries[0], entries[0], entries[1]], AfterEnd::Reconnect, CLIENTS).await;
    assert_eq!(crowd.counts().len(), 4, "nobody has found the new ones");

    list(&file, 8);
    let counts = wait_until_level(&crowd, &admins, 8).await;
    let (ends, closed) = (crowd.ends(), replicas.each_ref().map(Replica::closed));
    println!("{closed:?} closings: {counts:?}");
    assert_eq!(closed.iter().sum::<usize>(), ends.len(), "each end is a closing");
    assert!(ends.len() * 100 <= CLIENTS / 2 * 108, "{} closings, and {} would do", ends.len(), CLIENTS / 2);
    assert!(closed[0] > closed[1] && closed[1] > 0, "each closes of what it has: {closed:?}");

    replicas[1].ilb.signal(Signal::STOP).unwrap();
    list(&file, 10);
    eventually("it waits for its sibling", async || {
        let closing = closing(&admins[0]).await?;
        anyhow::ensure!(closing["why"] == "siblings-not-heard", "{closing}");
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(crowd.ends().len(), ends.len(), "nothing is closed meanwhile");
    replicas[1].ilb.signal(Signal::CONT).unwrap();
    wait_until_level(&crowd, &admins, 10).await;
}

fn list(file: &Path, backends: u8) {
    fs::write(file, backends_file(backends)).unwrap();
}
