//! After a scale-out, connections are levelled by closing no more than have to move, and no client twice.

use std::{
    collections::BTreeMap,
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use ilb_testbed::{Admin, Backend, Behaviour, CloserProcess, Ilb, Privileges, eventually, eventually_within};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::scene::{FLAGS, Scene, alone, backends_file};

const CLIENTS: u64 = 400;
/// Closings a second.
const RATE: u64 = 20;

/// Address of the admin server in the network namespace of the test.
const ADMIN_ADDRESS: &str = "127.0.0.1:8081";

/// Clients that stay connected.
struct Crowd {
    /// Number of ends of connections, by client.
    ends: Arc<Vec<AtomicU64>>,
    _tasks: JoinSet<()>,
}

impl Crowd {
    /// Starts clients that connect to `entry`, and again whenever their connection ends.
    fn connect(entry: SocketAddr) -> Self {
        let ends: Arc<Vec<AtomicU64>> = Arc::new((0..CLIENTS).map(|_| AtomicU64::new(0)).collect());
        let mut tasks = JoinSet::new();
        for number in 0..ends.len() {
            tasks.spawn(stay_connected(entry, number, Arc::clone(&ends)));
        }
        Self { ends, _tasks: tasks }
    }

    fn ends(&self) -> Vec<u64> {
        self.ends.iter().map(|ends| ends.load(Ordering::Relaxed)).collect()
    }
}

async fn stay_connected(entry: SocketAddr, number: usize, ends: Arc<Vec<AtomicU64>>) {
    loop {
        let Ok(stream) = TcpStream::connect(entry).await else { continue };
        let (mut stream, mut line) = (BufReader::new(stream), String::new());
        while stream.read_line(&mut line).await.is_ok_and(|length| length > 0) {
            line.clear();
        }
        ends[number].fetch_add(1, Ordering::Relaxed);
    }
}

async fn by_backend(scene: &Scene) -> BTreeMap<SocketAddr, u64> {
    let mut counts: BTreeMap<SocketAddr, u64> = scene.backends.iter().map(|backend| (*backend, 0)).collect();
    for one in scene.connections().await {
        *counts.entry(one.backend).or_default() += 1;
    }
    counts
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_scale_out_is_levelled_by_no_more_closings_than_have_to_be() {
    if !alone("rebalance::a_scale_out_is_levelled_by_no_more_closings_than_have_to_be") {
        return;
    }
    let scene = Scene::start(8).await;
    let mut backends = Vec::new();
    for address in &scene.backends {
        backends.push(Backend::start(*address, Behaviour::Echo).await.unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backends.yaml");
    fs::write(&file, backends_file(4)).unwrap();
    let closer = CloserProcess::start(Privileges::ROOT_WITH_NET_ADMIN, &FLAGS).await.unwrap();
    let rate = RATE.to_string();
    let ilb = Ilb::start(&[
        ("ILB_BACKENDS_FILE", file.to_str().unwrap()),
        ("TRAEFIK_API_URL", &scene.traefik.url()),
        ("ILB_LOG_LEVEL", "debug"),
        ("ILB_ADMIN_ADDRESS", ADMIN_ADDRESS),
        ("ILB_CLOSER_SOCKET", closer.socket().to_str().unwrap()),
        ("ILB_CLOSING_REBALANCE_ENABLED", "true"),
        ("ILB_CLOSING_REBALANCE_RATE", "100%"),
        ("ILB_CLOSING_REBALANCE_MAX_RATE", &rate),
        ("ILB_CLOSING_REBALANCE_MIN_AGE", "0s"),
        ("ILB_CLOSING_SETTLE", "2s"),
    ])
    .unwrap();
    ilb.wait_for_log("Updated").await.unwrap();
    let crowd = Crowd::connect(scene.traefik.entry_point());
    eventually_within(Duration::from_secs(60), "all clients are connected to four backends", async || {
        let counts = by_backend(&scene).await;
        anyhow::ensure!(counts.values().sum::<u64>() == CLIENTS, "{counts:?}");
        Ok(())
    })
    .await
    .unwrap();
    ilb.wait_for_log("The closer can close connections").await.unwrap();
    assert_eq!(crowd.ends().iter().sum::<u64>(), 0, "nothing is closed while the backends are level");

    fs::write(&file, backends_file(8)).unwrap();
    let logged = ilb.wait_for_log("Rebalancing: 200 of 400 connections").await;
    assert!(logged.is_ok(), "{logged:?}:\n{}", ilb.output().unwrap());
    let begun = Instant::now();
    let level = timeout(Duration::from_secs(60), async {
        loop {
            let counts = by_backend(&scene).await;
            let (most, sum) = (*counts.values().max().unwrap(), counts.values().sum::<u64>());
            // The fullest has no more than 1.06 times the mean.
            if sum == CLIENTS && most * 8 * 100 <= CLIENTS * 106 {
                return counts;
            }
        }
    });
    let counts = level.await.unwrap_or_else(|_| panic!("not level after a minute:\n{}", ilb.output().unwrap()));
    let took = begun.elapsed();
    eventually_within(Duration::from_secs(10), "the run ends", async || {
        let output = ilb.output()?;
        anyhow::ensure!(output.contains("connections closed in"), "it goes on");
        Ok(())
    })
    .await
    .unwrap();
    let ends = crowd.ends();
    let (closings, minimum) = (ends.iter().sum::<u64>(), CLIENTS / 2);
    println!("level after {took:?}, {closings} closings: {counts:?}");
    assert!(closings * 100 <= minimum * 105, "{closings} closings, and {minimum} would do");
    assert_eq!(ends.iter().filter(|ends| **ends > 1).count(), 0, "no client twice");
    assert!(took <= Duration::from_secs(minimum / RATE + 3), "{took:?}");
    assert_eq!(ilb.logged("A backend is suspect: no new connections until it answers").unwrap().len(), 0);
    let admin = Admin::new(ADMIN_ADDRESS.parse().unwrap()).unwrap();
    eventually("the ends of all closed connections are counted", async || {
        let ended = of_all_backends(&admin, "ilb_backend_connections_closed_total").await?;
        anyhow::ensure!(ended == closings, "{ended} of {closings}");
        Ok(())
    })
    .await
    .unwrap();
    let by_backends = of_all_backends(&admin, "ilb_backend_connections_closed_by_backend_total").await.unwrap();
    assert_eq!(by_backends, 0, "none of them is evidence against its backend");
}

/// Returns the sum of a counter over all backends.
async fn of_all_backends(admin: &Admin, counter: &str) -> anyhow::Result<u64> {
    let text = admin.metrics().await?;
    let series = text.lines().filter(|line| line.starts_with(&format!("{counter}{{")));
    let whole = |line: &str| line.rsplit(' ').next().unwrap_or_default().trim_end_matches(".0").parse::<u64>();
    let values: Vec<_> = series.map(whole).collect::<Result<_, _>>().with_context(|| text.clone())?;
    anyhow::ensure!(!values.is_empty(), "there is no {counter} in\n{text}");
    Ok(values.iter().sum())
}
