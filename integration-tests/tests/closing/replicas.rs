//! Two replicas, neither of which knows of the other, level what both have together, and close no client twice.

use std::{collections::BTreeMap, fs, net::Ipv4Addr, path::Path, time::Duration};

use ilb_testbed::{
    Backend, BareTraefik, Behaviour, CloserProcess, Ilb, Neighbour, Net, Network, Privileges, eventually, host_network,
};
use tokio::time::Instant;

use crate::{
    crowd::{AfterEnd, Crowd},
    scene::{FLAGS, alone, backend, backends_file},
};

const CLIENTS: usize = 400;
/// Closings a second of each replica.
const RATE: usize = 20;

/// A pod of ilb: a Traefik, ilb and a closer in a network namespace of their own.
pub(crate) struct Replica {
    pub(crate) traefik: BareTraefik,
    pub(crate) ilb: Ilb,
    closer: CloserProcess,
}

impl Replica {
    /// Starts the three at this address of a network, and leads Traefik's entry point to the backends in `file`.
    pub(crate) async fn start(network: Network, address: Ipv4Addr, file: &Path, more: &[(&str, &str)]) -> Self {
        let traefik = BareTraefik::builder().at(address).within(network.clone()).start().await.unwrap();
        let closer = CloserProcess::start_within(&network, Privileges::ROOT_WITH_NET_ADMIN, &FLAGS).await.unwrap();
        let rate = RATE.to_string();
        let (socket, url) = (closer.socket(), traefik.url());
        let variables = [
            ("ILB_BACKENDS_FILE", file.to_str().unwrap()),
            ("TRAEFIK_API_URL", &url),
            ("ILB_LOG_LEVEL", "debug"),
            ("ILB_CLOSER_SOCKET", socket.to_str().unwrap()),
            ("ILB_CLOSING_REBALANCE_ENABLED", "true"),
            ("ILB_CLOSING_REBALANCE_RATE", "100%"),
            ("ILB_CLOSING_REBALANCE_MAX_RATE", &rate),
            ("ILB_CLOSING_REBALANCE_MIN_AGE", "0s"),
            ("ILB_CLOSING_SETTLE", "2s"),
            ("ILB_CLOSING_MAX_PER_HOUR", "10000%"),
        ];
        let ilb = Ilb::start_within(&network, &[&variables[..], more].concat()).unwrap();
        ilb.wait_for_log("Updated").await.unwrap();
        ilb.wait_for_log("The closer can close connections").await.unwrap();
        Self { traefik, ilb, closer }
    }

    /// Returns the number of connections that its closer has closed.
    pub(crate) fn closed(&self) -> usize {
        self.closer.closed().unwrap().len()
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn two_replicas_level_a_scale_out_by_no_more_closings_than_have_to_be() {
    if !alone("replicas::two_replicas_level_a_scale_out_by_no_more_closings_than_have_to_be") {
        return;
    }
    host_network("10.9.0.0/16").unwrap();
    let other = Neighbour::pod("10.9.0.0/16").unwrap();
    let mut backends = Vec::new();
    for number in 1..=8 {
        let behaviour = Behaviour::EchoLater(Duration::from_millis(20));
        backends.push(Backend::start(backend(number), behaviour).await.unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backends.yaml");
    fs::write(&file, backends_file(4)).unwrap();
    let own_address = Net::for_this_process().unwrap().host().unwrap();
    let replicas = [
        Replica::start(Network::default(), own_address, &file, &[]).await,
        Replica::start(other.network(), Neighbour::ADDRESS, &file, &[]).await,
    ];
    let entries = replicas.each_ref().map(|replica| replica.traefik.entry_point());
    let crowd = Crowd::connect_to_any(&entries, AfterEnd::Reconnect, CLIENTS).await;
    assert_eq!(crowd.counts().len(), 4, "nobody has found the new ones");

    fs::write(&file, backends_file(8)).unwrap();
    crowd.wait_for_ends(1).await;
    let begun = Instant::now();
    let counts = eventually("both together are level", async || {
        let counts = crowd.counts();
        let (most, sum) = (counts.values().max().copied().unwrap_or(0), counts.values().sum::<usize>());
        // The fullest has no more than 1.06 times the mean. Each replica stops at 1.05 times its own mean of about 25, or at
        // one more than that, so that the sum of both is two or three above the mean of 50.
        anyhow::ensure!(sum == CLIENTS && most * 8 * 100 <= CLIENTS * 106, "{counts:?}");
        Ok(counts)
    })
    .await
    .unwrap();
    let took = begun.elapsed();
    for replica in &replicas {
        eventually("the run of each replica ends", async || {
            anyhow::ensure!(replica.ilb.output()?.contains("connections closed in"), "it goes on");
            Ok(())
        })
        .await
        .unwrap();
    }
    let ends = crowd.ends();
    let (by_replica, minimum) = (replicas.each_ref().map(Replica::closed), CLIENTS / 2);
    println!("level after {took:?}, {by_replica:?} closings: {counts:?}");
    assert_eq!(by_replica.iter().sum::<usize>(), ends.len(), "each end is a closing");
    assert!(ends.len() * 100 <= minimum * 105, "{} closings, and {minimum} would do", ends.len());
    assert!(by_replica.iter().all(|closed| *closed * 4 >= minimum), "both have moved their own: {by_replica:?}");
    let mut by_client = BTreeMap::<usize, usize>::new();
    for end in &ends {
        *by_client.entry(end.client).or_default() += 1;
    }
    assert!(by_client.values().all(|times| *times == 1), "no client twice: {by_client:?}");
}
