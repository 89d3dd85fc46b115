//! What is left on a pod that will be killed is closed before that, spread over the time that there is, and cuts nothing.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ilb_testbed::{
    World,
    apps::{Clients, Library, Postgres, Raised},
    eventually,
};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{
    cluster::{Cluster, alone_with_hosts},
    crowd::{AfterEnd, Crowd},
};

const DRAIN: [(&str, &str); 3] =
    [("ILB_CLOSING_DRAIN_ENABLED", "true"), ("ILB_CLOSING_DRAIN_AFTER", "0s"), ("ILB_CLOSING_DRAIN_QUIET", "100ms")];
/// Grace period of the pod that leaves, in seconds.
const GRACE: u32 = 20;

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn what_is_left_on_a_pod_is_closed_evenly_and_in_time_before_it_is_killed() {
    if !alone_with_hosts("drain::what_is_left_on_a_pod_is_closed_evenly_and_in_time_before_it_is_killed") {
        return;
    }
    let cluster = Cluster::start(2, &DRAIN).await;
    let world = &cluster.world;
    let crowd = Crowd::connect(world.traefik.entry_point(), AfterEnd::Reconnect, 100).await;
    let leaving = world.address(0);
    let left = crowd.counts()[&leaving];
    let deleted = Instant::now();
    world.pods.delete_within(&World::pod(0), GRACE).await.unwrap();
    let ends = crowd.wait_for_ends(left).await;
    assert!(ends.iter().all(|end| end.backend == leaving), "only those of the leaving one: {ends:?}");
    let seconds: Vec<f64> = ends.iter().map(|end| end.ended.duration_since(deleted).as_secs_f64()).collect();
    let before_kill = f64::from(GRACE) - seconds.last().unwrap();
    let mut by_second = BTreeMap::<u64, usize>::new();
    for end in &ends {
        *by_second.entry(end.ended.duration_since(deleted).as_secs()).or_default() += 1;
    }
    println!("{left} closed, the last one {before_kill:.1} s before the kill: {by_second:?}");
    assert!((5.0..=15.0).contains(&before_kill), "{before_kill} s before the kill");
    assert!(by_second.len() >= 5, "they are spread: {by_second:?}");
    let most = 3 * left / by_second.len();
    assert!(by_second.values().all(|closed| *closed <= most), "more than {most} in a second: {by_second:?}");
}

/// Sessions of PostgreSQL, each of which stores numbers by statements that take 300 ms.
const SESSIONS: usize = 24;
/// Time for which a session thinks. A fifth of the sessions have a statement running.
const PAUSE: Duration = Duration::from_millis(1_200);
/// Grace period of their pod, in seconds: so long that none is left for the end of the drain, which closes whatever goes on.
/// Half as long was too short on a machine that did much else.
const GRACE_OF_SESSIONS: u32 = 30;

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn no_running_statement_of_postgresql_is_cut_by_a_drain() {
    if !alone_with_hosts("drain::no_running_statement_of_postgresql_is_cut_by_a_drain") {
        return;
    }
    let cluster = Cluster::start(0, &DRAIN).await;
    let world = &cluster.world;
    // One server behind the addresses of two pods, so that each row is in one place.
    let port = world.address(0).port();
    let _server = Postgres::start(SocketAddr::from(([0, 0, 0, 0], port))).await.unwrap();
    let clients = Arc::new(Clients::start(Library::Psycopg).unwrap());
    clients.connect("observer", ([127, 0, 0, 1], port).into(), json!({})).await.unwrap();
    let observe = async |sql: &str| clients.call("observer", "execute", json!({"sql": sql})).await.unwrap();
    observe("CREATE TABLE numbers (number int, backend inet)").await;
    for index in 0..2 {
        world.pods.create_ready(&World::pod(index), world.address(index).ip()).await.unwrap();
    }
    world.wait_until_in_force(2).await.unwrap();

    let (mut workers, stop) = (JoinSet::new(), Arc::new(AtomicBool::new(false)));
    for session in 0..SESSIONS {
        workers.spawn(store(Arc::clone(&clients), world.traefik.entry_point(), session, Arc::clone(&stop)));
    }
    eventually("all sessions work", async || {
        let rows = observe("SELECT count(DISTINCT number / 1000000) FROM numbers").await;
        anyhow::ensure!(rows == json!([[SESSIONS]]), "{rows}");
        Ok(())
    })
    .await
    .unwrap();
    world.pods.delete_within(&World::pod(0), GRACE_OF_SESSIONS).await.unwrap();
    cluster.wait_for_log("connections closed in").await;
    let closed = cluster.closed();
    // Those that were closed last have noticed it by now, or will at their next statement.
    let statements = observe("SELECT count(*) FROM numbers").await[0][0].as_u64().unwrap();
    eventually("every session goes on", async || {
        let now = observe("SELECT count(*) FROM numbers").await[0][0].as_u64().unwrap();
        anyhow::ensure!(now >= statements + 3 * SESSIONS as u64, "{statements} {now}");
        Ok(())
    })
    .await
    .unwrap();
    stop.store(true, Ordering::Relaxed);
    let mut failed = Vec::new();
    while let Some(of_session) = workers.join_next().await {
        failed.extend(of_session.unwrap());
    }
    println!("{statements} statements, {closed} closings, {} errors", failed.len());
    assert!(closed >= SESSIONS / 4, "{closed} were closed");
    assert!(failed.len() <= closed, "no error but for a closing: {failed:?}");
    let list = failed.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let cut = observe(&format!("SELECT number FROM numbers WHERE number IN ({list})")).await;
    assert_eq!(cut, json!([]), "these were executed, and their clients have an error");
}

/// Stores numbers, and connects again after each error. Returns the numbers of the statements that got an error.
async fn store(clients: Arc<Clients>, entry: SocketAddr, session: usize, stop: Arc<AtomicBool>) -> Vec<usize> {
    let name = format!("session {session}");
    let (mut failed, mut number) = (Vec::new(), session * 1_000_000);
    clients.connect(&name, entry, json!({})).await.unwrap();
    while !stop.load(Ordering::Relaxed) {
        number += 1;
        let sql = format!("INSERT INTO numbers SELECT {number} FROM pg_sleep(0.3)");
        let stored: anyhow::Result<Value> = clients.call(&name, "execute", json!({"sql": sql})).await;
        if let Err(error) = stored {
            assert_eq!(error.downcast_ref::<Raised>().unwrap().kind, "OperationalError", "{error}");
            failed.push(number);
            clients.connect(&name, entry, json!({})).await.unwrap();
        }
        sleep(PAUSE).await;
    }
    failed
}
