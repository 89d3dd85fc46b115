//! Real clients work on while their connections are rebalanced again and again.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use ilb_testbed::{
    World,
    apps::{self, Clients, Library, Mosquitto, Nats, Postgres, Raised, Redis},
    eventually,
};
use serde_json::{Value, json};
use tokio::{task::JoinSet, time::sleep};

use crate::cluster::{Cluster, alone_with_hosts, rebalance};

/// Number of sessions, each with a connection.
const SESSIONS: usize = 24;
/// Pause of a session after each request: much longer than the time for which a connection has to be quiet.
const PAUSE: Duration = Duration::from_millis(600);

/// One server behind the addresses of several pods, so that all of them have the same data, and sessions of its clients.
struct Stage {
    cluster: Cluster,
    clients: Arc<Clients>,
    stop: Arc<AtomicBool>,
    /// Number of requests that have ended.
    requests: Arc<AtomicUsize>,
}

fn alone_with_applications(test: &str) -> bool {
    apps::prepare().unwrap();
    alone_with_hosts(test)
}

impl Stage {
    async fn start(library: Library) -> Self {
        let cluster = Cluster::start(0, &rebalance("20")).await;
        let clients = Arc::new(Clients::start(library).unwrap());
        Self { cluster, clients, stop: Arc::default(), requests: Arc::default() }
    }

    fn port(&self) -> u16 {
        self.cluster.world.address(0).port()
    }

    /// Returns the address at which the server has to be started.
    fn server(&self) -> SocketAddr {
        ([0, 0, 0, 0], self.port()).into()
    }

    /// Connects a session that goes past Traefik.
    async fn observe(&self, more: Value) {
        self.clients.connect("observer", ([127, 0, 0, 1], self.port()).into(), more).await.unwrap();
    }

    /// Starts sessions, of which each calls `work` until the end, with a number that is used once. While they work, there are
    /// one, two, four and eight pods. Returns the numbers for which `work` returned true and those for which it did not.
    async fn work<W>(&self, work: fn(Arc<Clients>, SocketAddr, String, usize) -> W) -> (Vec<usize>, Vec<usize>)
    where
        W: Future<Output = bool> + Send + 'static,
    {
        let world = &self.cluster.world;
        world.pods.create_ready(&World::pod(0), world.address(0).ip()).await.unwrap();
        world.wait_until_in_force(1).await.unwrap();
        let mut sessions = JoinSet::new();
        for session in 0..SESSIONS {
            let (clients, stop) = (Arc::clone(&self.clients), Arc::clone(&self.stop));
            let (requests, entry) = (Arc::clone(&self.requests), world.traefik.entry_point());
            sessions.spawn(async move {
                let (mut good, mut bad) = (Vec::new(), Vec::new());
                for number in (session * 1_000_000)..(session + 1) * 1_000_000 {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let is_good = work(Arc::clone(&clients), entry, format!("session {session}"), number).await;
                    if is_good { &mut good } else { &mut bad }.push(number);
                    requests.fetch_add(1, Ordering::Relaxed);
                    sleep(PAUSE).await;
                }
                (good, bad)
            });
        }
        eventually("all sessions work", async || {
            let requests = self.requests.load(Ordering::Relaxed);
            anyhow::ensure!(requests >= 2 * SESSIONS, "{requests} requests");
            Ok(())
        })
        .await
        .unwrap();
        for (run, pods) in [(1, 1..2), (2, 2..4), (3, 4..8)] {
            for index in pods.clone() {
                world.pods.create_ready(&World::pod(index), world.address(index).ip()).await.unwrap();
            }
            world.wait_until_in_force(pods.end.into()).await.unwrap();
            eventually("the connections are levelled", async || {
                let runs = world.ilb.output()?.matches("connections closed in").count();
                anyhow::ensure!(runs >= run, "{runs} runs have ended");
                Ok(())
            })
            .await
            .unwrap();
        }
        self.stop.store(true, Ordering::Relaxed);
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        while let Some(of_session) = sessions.join_next().await {
            let (more_good, more_bad) = of_session.unwrap();
            good.extend(more_good);
            bad.extend(more_bad);
        }
        let closed = self.cluster.closed();
        println!("{closed} closings, {} requests, {} errors: {bad:?}", good.len(), bad.len());
        assert!(closed >= SESSIONS / 2, "{closed} were closed, and half of them have to move to the second pod alone");
        assert!(bad.len() <= closed, "errors without a closing: {bad:?}");
        (good, bad)
    }
}

/// Connects a session, unless it has been connected before.
async fn connect_at_first(clients: &Clients, entry: SocketAddr, session: &str, number: usize, more: Value) {
    if number.is_multiple_of(1_000_000) {
        clients.connect(session, entry, more).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn no_statement_of_postgresql_is_executed_and_reported_as_an_error() {
    if !alone_with_applications("real_clients::no_statement_of_postgresql_is_executed_and_reported_as_an_error") {
        return;
    }
    let stage = Stage::start(Library::Psycopg).await;
    let _server = Postgres::start(stage.server()).await.unwrap();
    stage.observe(json!({})).await;
    let observe = async |sql: &str| stage.clients.call("observer", "execute", json!({"sql": sql})).await.unwrap();
    observe("CREATE TABLE numbers (number int)").await;
    let (stored, failed) = stage.work(store).await;
    assert_eq!(observe("SELECT count(*) FROM numbers").await, json!([[stored.len()]]), "failed: {failed:?}");
}

/// Stores a number in PostgreSQL. Connects again after an error.
async fn store(clients: Arc<Clients>, entry: SocketAddr, session: String, number: usize) -> bool {
    connect_at_first(&clients, entry, &session, number, json!({})).await;
    let sql = format!("INSERT INTO numbers SELECT {number} FROM pg_sleep(0.1)");
    let Err(error) = clients.call(&session, "execute", json!({"sql": sql})).await else { return true };
    assert_eq!(error.downcast_ref::<Raised>().unwrap().kind, "OperationalError", "{error}");
    clients.connect(&session, entry, json!({})).await.unwrap();
    false
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn no_command_of_redis_fails_or_is_executed_twice() {
    if !alone_with_applications("real_clients::no_command_of_redis_fails_or_is_executed_twice") {
        return;
    }
    let stage = Stage::start(Library::Redis).await;
    let _server = Redis::start(stage.server()).await.unwrap();
    stage.observe(json!({})).await;
    let (counted, failed) = stage.work(count).await;
    assert_eq!(failed, [0; 0]);
    let count = stage.clients.call("observer", "command", json!({"words": ["GET", "counter"]})).await.unwrap();
    assert_eq!(count, json!(counted.len().to_string()));
}

/// Counts in Redis, and waits for something that does not come, whose answer is later than the question for certain.
async fn count(clients: Arc<Clients>, entry: SocketAddr, session: String, number: usize) -> bool {
    connect_at_first(&clients, entry, &session, number, json!({})).await;
    for words in [json!(["INCR", "counter"]), json!(["BLPOP", "nothing", "0.05"])] {
        if let Err(error) = clients.call(&session, "command", json!({"words": words})).await {
            println!("{session}: {error}");
            return false;
        }
    }
    true
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn no_message_of_mqtt_with_qos_1_is_lost() {
    if !alone_with_applications("real_clients::no_message_of_mqtt_with_qos_1_is_lost") {
        return;
    }
    let stage = Stage::start(Library::Paho).await;
    let _server = Mosquitto::start(stage.server()).await.unwrap();
    stage.observe(json!({"name": "observer", "persistent": true})).await;
    // Answers that come later than the question for certain: those of the broker are within the same tick of the clock.
    stage.clients.call("observer", "answer", json!({"topic": "numbers", "after": 0.05})).await.unwrap();
    let (published, failed) = stage.work(publish_to_mqtt).await;
    assert_eq!(failed, [0; 0]);
    all_arrive(&stage, &published).await;
}

/// Publishes a number with confirmation (`QoS 1`), and waits for the confirmation.
async fn publish_to_mqtt(clients: Arc<Clients>, entry: SocketAddr, session: String, number: usize) -> bool {
    let of_session = number / 1_000_000;
    if number.is_multiple_of(1_000_000) {
        clients.connect(&session, entry, json!({"name": session, "persistent": true})).await.unwrap();
        let arguments = json!({"topic": format!("answers/{of_session}"), "qos": 0});
        clients.call(&session, "subscribe", arguments).await.unwrap();
    }
    let arguments = json!({"topic": format!("numbers/{of_session}"), "payload": number.to_string()});
    clients.call(&session, "publish", arguments).await.unwrap() == json!(true)
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn no_request_of_nats_that_was_answered_is_lost() {
    if !alone_with_applications("real_clients::no_request_of_nats_that_was_answered_is_lost") {
        return;
    }
    let stage = Stage::start(Library::Nats).await;
    let _server = Nats::start(stage.server()).await.unwrap();
    stage.observe(json!({})).await;
    stage.clients.call("observer", "answer", json!({"subject": "numbers", "after": 0.05})).await.unwrap();
    let (published, _) = stage.work(ask_in_nats).await;
    all_arrive(&stage, &published).await;
}

/// Sends a number as a request. Returns whether it was answered.
async fn ask_in_nats(clients: Arc<Clients>, entry: SocketAddr, session: String, number: usize) -> bool {
    connect_at_first(&clients, entry, &session, number, json!({})).await;
    let arguments = json!({"subject": "numbers", "payload": number.to_string()});
    clients.call(&session, "ask", arguments).await.unwrap() == json!(true)
}

/// Waits until the observer has received each of these numbers.
async fn all_arrive(stage: &Stage, published: &[usize]) {
    eventually("all messages arrive", async || {
        let known = stage.clients.call("observer", "state", json!({})).await?;
        let received: Vec<usize> = serde_json::from_value::<Vec<String>>(known["received"].clone())?
            .iter()
            .map(|number| number.parse())
            .collect::<Result<_, _>>()?;
        let missing: Vec<_> = published.iter().filter(|number| !received.contains(number)).collect();
        anyhow::ensure!(missing.is_empty(), "{missing:?} are missing");
        Ok(())
    })
    .await
    .unwrap();
}
