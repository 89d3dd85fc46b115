//! Real clients work on while pods come and go, and their connections are rebalanced and drained again and again.

use std::{
    collections::{BTreeMap, HashSet},
    env,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use ilb_testbed::{
    KernelSocket, LogLine, World,
    apps::{self, Clients, Library, Mosquitto, Nats, Postgres, Raised, Redis},
    eventually, eventually_within,
};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::cluster::{Cluster, alone_with_hosts, rebalance};

/// Number of sessions, each with a connection.
const SESSIONS: usize = 24;
/// Pause of a session after each request: much longer than the time for which a connection has to be quiet.
const PAUSE: Duration = Duration::from_millis(600);

/// Time limit for the connections to be as they should: a closer that did not get the processor for a second has failed, after
/// which nothing is closed for a minute.
const LIMIT: Duration = Duration::from_secs(150);

/// Time for which pods come and go; they do so at least once.
fn time() -> Duration {
    let seconds = env::var("CLOSING_SECONDS").map_or(10, |text| text.parse().unwrap());
    Duration::from_secs(seconds)
}

/// One server behind the addresses of several pods, so that all of them have the same data, and sessions of its clients.
struct Stage {
    cluster: Cluster,
    clients: Arc<Clients>,
    stop: Arc<AtomicBool>,
    /// Number of requests that have ended.
    requests: Arc<AtomicUsize>,
}

/// The requests of all sessions by their numbers, and the closings that took place meanwhile.
#[derive(Default)]
struct Work {
    /// Requests for which the session got what it wanted.
    good: Vec<usize>,
    bad: Vec<usize>,
    /// Addresses of Traefik's sides of the connections that were closed whatever was going on, because the time of their pod was
    /// over.
    cut: HashSet<String>,
}

fn alone_with_applications(test: &str) -> bool {
    apps::prepare().unwrap();
    alone_with_hosts(test)
}

impl Stage {
    async fn start(library: Library) -> Self {
        let mut settings = rebalance("20");
        settings.extend([
            ("ILB_CLOSING_DRAIN_ENABLED", "true"),
            ("ILB_CLOSING_DRAIN_AFTER", "0s"),
            ("ILB_CLOSING_DRAIN_WITHIN", "5s"),
            ("ILB_CLOSING_DRAIN_QUIET", "200ms"),
        ]);
        let cluster = Cluster::start(0, &settings).await;
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

    /// Starts sessions, of which each calls `work` until the end, with a number that is used once, and which returns whether
    /// it got what it wanted. While they work, two pods join two others, and these leave, again and again.
    async fn work<W>(&self, work: fn(Arc<Clients>, SocketAddr, String, usize) -> W) -> Work
    where
        W: Future<Output = bool> + Send + 'static,
    {
        let (mut old, mut new) = ([0, 1], [2, 3]);
        self.add(old).await;
        self.cluster.world.wait_until_in_force(2).await.unwrap();
        let mut sessions = JoinSet::new();
        for session in 0..SESSIONS {
            let (clients, stop) = (Arc::clone(&self.clients), Arc::clone(&self.stop));
            let (requests, entry) = (Arc::clone(&self.requests), self.cluster.world.traefik.entry_point());
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
        let (begun, mut rounds) = (Instant::now(), 0);
        while rounds == 0 || begun.elapsed() < time() {
            self.add(new).await;
            self.wait_for_connections("all four pods have their share", |connections| {
                connections.len() == 4 && connections.values().all(|number| *number <= SESSIONS / 4 + 1)
            })
            .await;
            self.remove(old).await;
            (old, new) = (new, old);
            rounds += 1;
        }
        self.stop.store(true, Ordering::Relaxed);
        let mut work = Work::default();
        while let Some(of_session) = sessions.join_next().await {
            let (good, bad) = of_session.unwrap();
            work.good.extend(good);
            work.bad.extend(bad);
        }
        let closings = self.cluster.world.ilb.logged("Closing a connection").unwrap();
        let is_cut = |line: &&LogLine| [&line["why"], &line["only_if"], &line["result"]] == ["drain", "any", "closed"];
        work.cut = closings.iter().filter(is_cut).map(|line| line["local"].as_str().unwrap().to_owned()).collect();
        // The closer does not log it again if the next connection with the same addresses is closed within a minute.
        let closed = closings.iter().filter(|line| line["result"] == "closed").count();
        let took = begun.elapsed();
        println!(
            "{rounds} times to and fro in {took:.0?}: {closed} closings, {} of them whatever went on; {} requests, {} errors",
            work.cut.len(),
            work.good.len(),
            work.bad.len()
        );
        assert!(closed >= rounds * 2 * (SESSIONS / 2 - 2), "{closed} were closed in {rounds} rounds");
        assert!(work.bad.len() <= closed, "errors without a closing: {:?}", work.bad);
        work
    }

    /// Adds these pods.
    async fn add(&self, pods: [u16; 2]) {
        let world = &self.cluster.world;
        for index in pods {
            world.pods.create_ready(&World::pod(index), world.address(index).ip()).await.unwrap();
        }
    }

    /// Deletes these pods, and removes them when they are empty, before which they would be killed.
    async fn remove(&self, indices: [u16; 2]) {
        let world = &self.cluster.world;
        for index in indices {
            world.pods.delete_within(&World::pod(index), 60).await.unwrap();
        }
        let left = indices.map(|index| world.address(index).to_string());
        self.wait_for_connections("those that leave are empty", |connections| {
            connections.keys().all(|backend| !left.contains(backend))
        })
        .await;
        for index in indices {
            world.pods.remove(&World::pod(index)).await.unwrap();
        }
    }

    /// Waits until all sessions have a connection, and the numbers of those of each pod are as wanted.
    async fn wait_for_connections(&self, what: &str, are_as_wanted: impl Fn(&BTreeMap<String, usize>) -> bool) {
        // Where Traefik connects to one of its own host's addresses, that is its own as well: the port tells the two sides apart.
        let port = format!(":{}", self.port());
        eventually_within(LIMIT, what, async || {
            let mut connections = BTreeMap::new();
            for socket in KernelSocket::list()? {
                if socket.state == "ESTAB" && socket.remote.starts_with("10.9.") && socket.remote.ends_with(&port) {
                    *connections.entry(socket.remote).or_default() += 1;
                }
            }
            let all = connections.values().sum::<usize>();
            anyhow::ensure!(all == SESSIONS && are_as_wanted(&connections), "{connections:?}");
            Ok(())
        })
        .await
        .unwrap();
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
async fn no_statement_of_postgresql_is_executed_and_reported_as_an_error_unless_its_pod_had_no_time_left() {
    if !alone_with_applications(
        "real_clients::no_statement_of_postgresql_is_executed_and_reported_as_an_error_unless_its_pod_had_no_time_left",
    ) {
        return;
    }
    let stage = Stage::start(Library::Psycopg).await;
    let _server = Postgres::start(stage.server()).await.unwrap();
    stage.observe(json!({})).await;
    let observe = async |sql: &str| stage.clients.call("observer", "execute", json!({"sql": sql})).await.unwrap();
    observe("CREATE TABLE numbers (number int, client text)").await;
    let Work { good, bad, cut } = stage.work(store).await;
    let rows = observe("SELECT number, client FROM numbers").await;
    let rows: Vec<(usize, String)> = serde_json::from_value(rows).unwrap();
    let stored: BTreeMap<usize, String> = rows.iter().cloned().collect();
    assert_eq!(stored.len(), rows.len(), "none is stored twice");
    assert!(good.iter().all(|number| stored.contains_key(number)), "all that returned are stored");
    let reported: Vec<_> = bad.iter().filter_map(|number| stored.get_key_value(number)).collect();
    println!("stored and reported as an error: {reported:?}");
    assert!(reported.iter().all(|(_, client)| cut.contains(*client)), "there was time left: {reported:?} {cut:?}");
}

/// Stores a number in PostgreSQL. Connects again after an error.
async fn store(clients: Arc<Clients>, entry: SocketAddr, session: String, number: usize) -> bool {
    connect_at_first(&clients, entry, &session, number, json!({})).await;
    let sql = format!(
        "INSERT INTO numbers SELECT {number}, host(inet_client_addr()) || ':' || inet_client_port() FROM pg_sleep(0.1)"
    );
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
    let Work { good, bad, cut } = stage.work(count).await;
    assert_eq!(bad, [0; 0]);
    let count = stage.clients.call("observer", "command", json!({"words": ["GET", "counter"]})).await.unwrap();
    let count: usize = count.as_str().unwrap().parse().unwrap();
    // One that is cut after the server has counted is tried again, and counts twice.
    assert!((good.len()..=good.len() + cut.len()).contains(&count), "{count} for {} commands", good.len());
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
    let Work { good, bad, .. } = stage.work(publish_to_mqtt).await;
    assert_eq!(bad, [0; 0]);
    all_arrive(&stage, &good).await;
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
    let Work { good, .. } = stage.work(ask_in_nats).await;
    all_arrive(&stage, &good).await;
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
        let received: HashSet<usize> = serde_json::from_value::<Vec<String>>(known["received"].clone())?
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
