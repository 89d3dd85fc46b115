//! Nothing is closed while the backends may be out of date, nor until Traefik has been seen for a while.

use std::{fs, path::Path, time::Duration};

use ilb_testbed::{ApiServer, Backend, Behaviour, CloserProcess, Connection, Ilb, Privileges, eventually};

use crate::{
    cluster::{Cluster, alone_with_hosts, rebalance},
    crowd::{AfterEnd, Crowd},
    scene::{FLAGS, Scene, alone, backend, backends_file, moment},
};

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn nothing_is_closed_while_the_api_server_or_traefik_is_away() {
    if !alone_with_hosts("knowledge::nothing_is_closed_while_the_api_server_or_traefik_is_away") {
        return;
    }
    let api_server = ApiServer::start().await.unwrap();
    let mut cluster = Cluster::on(api_server, "1000", 2, &rebalance("5")).await;
    let entry = cluster.world.traefik.entry_point();
    let crowd = Crowd::connect(entry, AfterEnd::Reconnect, 120).await;
    for index in 2..4 {
        cluster.add_pod(index).await;
    }
    crowd.wait_for_ends(5).await;
    cluster.world.api_server.kill().unwrap();
    cluster.wait_for_log("the backends may be out of date").await;
    cluster.world.landed_on(100).await.unwrap(); // the last order is done, and logged
    let closed = cluster.closed();
    assert!(closed < 40, "{closed} of 60: too late to show anything");
    cluster.world.landed_on(1_000).await.unwrap();
    assert_eq!(cluster.closed(), closed, "closed on stale knowledge");
    cluster.world.api_server.restart().await.unwrap();
    crowd.wait_for_ends(closed + 5).await;

    // A Traefik that was killed takes all connections with it. What comes back is spread evenly, so nothing is left to do.
    cluster.world.traefik.kill().unwrap();
    let closed = cluster.closed();
    cluster.world.traefik.restart().await.unwrap();
    eventually("all clients are back", async || {
        anyhow::ensure!(crowd.connected() == crowd.len(), "{} are", crowd.connected());
        Ok(())
    })
    .await
    .unwrap();
    cluster.world.landed_on(500).await.unwrap();
    assert_eq!(cluster.closed(), closed, "the new ones are level");
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn nothing_is_closed_while_the_list_of_backends_is_broken() {
    if !alone("knowledge::nothing_is_closed_while_the_list_of_backends_is_broken") {
        return;
    }
    let scene = Scene::start(5).await;
    let mut backends = Vec::new();
    for number in 1..=5 {
        let behaviour = Behaviour::EchoLater(Duration::from_millis(20));
        backends.push(Backend::start(backend(number), behaviour).await.unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backends.yaml");
    replace(&file, &backends_file(2));
    let closer = CloserProcess::start(Privileges::ROOT_WITH_NET_ADMIN, &FLAGS).await.unwrap();
    let (socket, url) = (closer.socket(), scene.traefik.url());
    let mut variables = vec![
        ("ILB_BACKENDS_FILE", file.to_str().unwrap()),
        ("TRAEFIK_API_URL", url.as_str()),
        ("LOG_LEVEL", "debug"),
        ("ILB_CLOSER_SOCKET", socket.to_str().unwrap()),
        ("ILB_CLOSING_SETTLE", "1s"),
        ("ILB_CLOSING_MAX_PER_HOUR", "10000%"),
    ];
    variables.extend(rebalance("10"));
    let ilb = Ilb::start(&variables).unwrap();
    ilb.wait_for_log("Updated").await.unwrap();
    ilb.wait_for_log("The closer can close connections").await.unwrap();
    let logs = async |text: &str| {
        eventually(text, async || {
            anyhow::ensure!(ilb.output()?.contains(text), "not logged yet");
            Ok(())
        })
        .await
        .unwrap();
    };
    let churn = async |connections: usize| {
        for _ in 0..connections {
            Connection::open(scene.traefik.entry_point()).await.unwrap();
        }
    };
    let crowd = Crowd::connect(scene.traefik.entry_point(), AfterEnd::Reconnect, 120).await;

    replace(&file, &backends_file(4));
    crowd.wait_for_ends(5).await;
    replace(&file, "- address: nowhere\n");
    logs("the backends may be out of date").await;
    churn(100).await; // the last order is done, and logged
    let before = closer.closed().unwrap().len();
    assert!(before < 40, "{before} of 60: too late to show anything");
    churn(1_000).await;
    assert_eq!(closer.closed().unwrap().len(), before, "closed by a list that is out of date");

    // The mended list has one more, so there is something to wait for.
    replace(&file, &backends_file(5));
    crowd.wait_for_ends(before + 5).await;
    let found = ilb.logged("Found pods").unwrap();
    let mended = moment(found.iter().find(|line| line["ready"] == 5).unwrap());
    let closings = ilb.logged("Closing a connection").unwrap();
    let next = closings.iter().map(moment).find(|closing| *closing > mended).unwrap();
    println!("{before} closings, and the next one {:?} after the list was mended", next.duration_since(mended));
    assert!(next.duration_since(mended).as_millis() >= 900, "before it has settled for a second");
    eventually("all five are level", async || {
        let counts = crowd.counts();
        anyhow::ensure!(counts.len() == 5 && counts.values().all(|count| *count <= 25), "{counts:?}");
        Ok(())
    })
    .await
    .unwrap();
}

/// Replaces the file as a whole.
fn replace(file: &Path, text: &str) {
    let new = file.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, file).unwrap();
}
