//! Tests that what Traefik refuses of one router leaves the others in force, with a scripted Traefik.
//!
//! Real ones are in `integration-tests`.
#![cfg(feature = "client")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests are not marked as tests")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use ilb_traefik_client::{ConfigSink, Configuration, Error, Member, Name, TcpPool, Traefik};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

/// A Traefik that has in force whatever it is sent, but for its faults.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Names of the entry points; without any, Traefik does not tell them.
    entry_points: Vec<&'static str>,
    /// Answers to `PUT`, without the parts that are dropped.
    configuration: Value,
    disabled: Vec<&'static str>,
    /// Services without the servers that they were given.
    without_servers: Vec<&'static str>,
    /// Keys that are dropped from each transport of these names.
    dropped: Vec<(&'static str, &'static str)>,
    /// Number of the answer after which another client has replaced everything.
    replaced_after: Option<usize>,
    /// Requested paths; the method instead of the path for a `PUT`.
    requests: Vec<String>,
}

impl Scripted {
    async fn start(entry_points: &[&'static str]) -> (Self, Traefik) {
        let this = Self::default();
        this.state().entry_points = entry_points.to_vec();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let traefik = Traefik::try_new(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let served = this.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(served.clone().serve(stream));
            }
        });
        (this, traefik)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    async fn serve(self, stream: TcpStream) {
        let mut stream = BufReader::new(stream);
        loop {
            let (mut first, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                    return;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line == "\r\n" {
                    break;
                }
                if first.is_empty() {
                    first = line;
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.unwrap();
            let (method, path) = first.split_once(' ').unwrap();
            let path = path.split(' ').next().unwrap().to_owned();
            let answer = if method == "PUT" { Some(self.put(&body)) } else { self.get(&path) };
            let (status, text) = match answer {
                Some(answer) => ("200 OK", answer.to_string()),
                None => ("404 Not Found", "404 page not found".to_owned()),
            };
            let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", text.len());
            if stream.write_all((head + &text).as_bytes()).await.is_err() {
                return;
            }
        }
    }

    fn put(&self, body: &[u8]) -> Value {
        let mut state = self.state();
        state.requests.push("PUT".to_owned());
        let mut configuration: Value = serde_json::from_slice(body).unwrap();
        for (transport, key) in &state.dropped {
            if let Some(transport) = configuration["tcp"]["serversTransports"][transport].as_object_mut() {
                transport.remove(*key);
            }
        }
        state.configuration = configuration.clone();
        configuration
    }

    fn get(&self, path: &str) -> Option<Value> {
        let mut state = self.state();
        state.requests.push(path.to_owned());
        if state.replaced_after.is_some_and(|count| state.requests.len() > count) {
            state.configuration = Value::Null;
        }
        let listed = state.listed();
        match path.split('?').next()? {
            "/api/version" => Some(json!({"Version": "3.7.15", "startDate": "then"})),
            "/api/entrypoints" if state.entry_points.is_empty() => None,
            "/api/entrypoints" => Some(state.entry_points.iter().map(|name| json!({"name": name})).collect()),
            "/api/rawdata" => Some(listed),
            "/api/tcp/services" => {
                Some(listed["tcpServices"].as_object()?.keys().map(|name| json!({"name": name})).collect())
            }
            "/api/tcp/routers" => {
                let named = |(name, router): (&String, &Value)| {
                    let mut router = router.clone();
                    router["name"] = json!(name);
                    router
                };
                Some(listed["tcpRouters"].as_object()?.iter().map(named).collect())
            }
            path => listed["tcpServices"].get(path.strip_prefix("/api/tcp/services/")?).cloned(),
        }
    }

    fn requested(&self, path: &str) -> usize {
        self.state().requests.iter().filter(|request| *request == path).count()
    }
}

impl State {
    /// Returns what Traefik lists: nothing is built behind a disabled router.
    fn listed(&self) -> Value {
        let tcp = &self.configuration["tcp"];
        let objects = |kind: &str| tcp[kind].as_object().cloned().unwrap_or_default();
        let is_disabled = |name: &str| self.disabled.contains(&name);
        let routers = objects("routers").into_iter().map(|(name, mut router)| {
            router["status"] = json!(if is_disabled(&name) { "disabled" } else { "enabled" });
            router["error"] = json!(if is_disabled(&name) { vec!["no such middleware"] } else { Vec::new() });
            (format!("{name}@rest"), router)
        });
        let services = objects("services").into_iter().map(|(name, mut service)| {
            let pool = name.split('.').next().unwrap_or_default();
            let is_built = !is_disabled(pool) && !self.without_servers.contains(&name.as_str());
            let servers = service["loadBalancer"]["servers"].as_array().cloned().unwrap_or_default();
            if is_built && !servers.is_empty() {
                let up = servers.iter().map(|server| (server["address"].as_str().unwrap().to_owned(), json!("UP")));
                service["serverStatus"] = Value::Object(up.collect());
            }
            (format!("{name}@rest"), service)
        });
        json!({
            "tcpRouters": Value::Object(routers.collect()),
            "tcpServices": Value::Object(services.collect()),
        })
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// Returns a configuration of pools at entry points, each with this many members.
fn pools(pools: &[(&str, &str)], members: u8) -> Configuration {
    let mut configuration = Configuration::default();
    for (pool, entry_point) in pools {
        TcpPool::new(name(pool), name(entry_point))
            .members((0..members).map(|last| Member::new(([10, 0, 0, last], 1).into(), 1)))
            .add_to(&mut configuration);
    }
    configuration
}

fn kinds(faults: &BTreeMap<Name, Error>) -> Vec<(&str, &str)> {
    faults.iter().map(|(router, error)| (router.as_str(), error.kind())).collect()
}

#[tokio::test]
async fn a_router_at_a_missing_entry_point_is_not_sent_and_the_others_are_in_force() {
    let (server, traefik) = Scripted::start(&["tcp"]).await;
    let configuration = pools(&[("a", "tcp"), ("b", "nope")], 2);
    let applied = traefik.apply(&configuration).await.unwrap();
    assert_eq!(kinds(&applied.faults), [("b", "entry point missing")]);
    let sent = server.state().configuration.to_string();
    assert!(!sent.contains("\"b"), "{sent}");
    traefik.verify(&applied).await.unwrap();
    traefik.apply(&configuration).await.unwrap();
    assert_eq!(server.requested("/api/entrypoints"), 1, "a process has the same ones until it ends");
    let members = traefik.pools_in_force().await.unwrap();
    assert_eq!(members.keys().map(Name::as_str).collect::<Vec<_>>(), ["a"]);
    assert_eq!(members["a"].len(), 2);
}

#[tokio::test]
async fn without_a_list_of_entry_points_all_is_sent_and_traefik_says_what_it_disables() {
    let (server, traefik) = Scripted::start(&[]).await;
    server.state().disabled = vec!["b"];
    let applied = traefik.apply(&pools(&[("a", "tcp"), ("b", "nope")], 2)).await.unwrap();
    assert_eq!(kinds(&applied.faults), [("b", "router disabled")]);
}

#[tokio::test]
async fn a_disabled_router_with_many_servers_is_one_fault_and_costs_no_look_at_each() {
    let (server, traefik) = Scripted::start(&["tcp"]).await;
    server.state().disabled = vec!["b"];
    let configuration = pools(&[("a", "tcp"), ("b", "tcp")], 50);
    let applied = traefik.apply(&configuration).await.unwrap();
    assert_eq!(kinds(&applied.faults), [("b", "router disabled")]);
    let looks = server.requested("/api/rawdata");
    let mut changed = configuration.clone();
    TcpPool::new(name("a"), name("tcp"))
        .members((0..50).map(|last| Member::new(([10, 0, 0, last], 1).into(), 7)))
        .add_to(&mut changed);
    traefik.apply(&changed).await.unwrap();
    assert_eq!(server.requested("/api/rawdata"), looks, "other pushes do not pay for it");
    server.state().disabled.clear();
    assert_eq!(kinds(&traefik.apply(&changed).await.unwrap().faults), []);
}

#[tokio::test]
async fn a_server_that_differs_is_the_fault_of_its_pool() {
    let (server, traefik) = Scripted::start(&["tcp"]).await;
    server.state().without_servers = vec!["b.10-0-0-1-1"];
    for members in [2, 50] {
        let applied = traefik.apply(&pools(&[("a", "tcp"), ("b", "tcp")], members)).await.unwrap();
        assert_eq!(kinds(&applied.faults), [("b", "servers differ")]);
    }
}

#[tokio::test]
async fn a_key_that_traefik_drops_is_the_fault_of_the_pools_that_need_it() {
    let (server, traefik) = Scripted::start(&["tcp"]).await;
    server.state().dropped = vec![("b", "dialTimeout"), ("b", "terminationDelay")];
    let applied = traefik.apply(&pools(&[("a", "tcp"), ("b", "tcp")], 2)).await.unwrap();
    assert_eq!(kinds(&applied.faults), [("b", "dropped")]);
    let text = applied.faults["b"].to_string();
    assert!(text.contains("tcp.serversTransports.b.dialTimeout, tcp.serversTransports.b.terminationDelay"), "{text}");
}

#[tokio::test]
async fn only_if_no_router_is_in_force_is_it_an_error() {
    let (_server, traefik) = Scripted::start(&["tcp"]).await;
    let error = traefik.apply(&pools(&[("b", "nope")], 2)).await.unwrap_err();
    assert_eq!(error.to_string(), "Traefik has no entry point nope: it has tcp");
    assert!(!error.is_retryable());
    let error = traefik.apply(&pools(&[("b", "nope"), ("c", "neither")], 2)).await.unwrap_err();
    let Error::NoneInForce { faults } = &error else { panic!("{error}") };
    assert_eq!(kinds(faults), [("b", "entry point missing"), ("c", "entry point missing")]);
    assert!(!error.is_retryable());
    traefik.apply(&Configuration::default()).await.unwrap();
}

#[tokio::test]
async fn an_earlier_configuration_that_comes_into_force_late_is_no_other_client() {
    let (server, traefik) = Scripted::start(&["tcp"]).await;
    traefik.apply(&pools(&[("a", "tcp")], 1)).await.unwrap();
    let earlier = server.state().configuration.clone();
    let applied = traefik.apply(&pools(&[("a", "tcp")], 2)).await.unwrap();
    server.state().configuration = earlier;
    let error = traefik.verify(&applied).await.unwrap_err();
    assert_eq!(error.kind(), "outdated", "{error}");
    assert!(error.is_retryable());
    server.state().configuration = json!({"tcp": {"services": {"rev-0123456789abcdef": {"loadBalancer": {}}}}});
    assert_eq!(traefik.verify(&applied).await.unwrap_err().kind(), "overwritten");
}

/// The other client writes after each request of the proof in turn.
#[tokio::test]
async fn a_configuration_that_is_replaced_during_its_proof_is_overwritten_and_no_servers_differ() {
    for configuration in [pools(&[("a", "tcp")], 2), pools(&[("a", "tcp")], 50)] {
        let mut kinds = Vec::new();
        for answers in 0.. {
            let (server, traefik) = Scripted::start(&["tcp"]).await;
            let traefik = Traefik::builder(&format!("http://{}", traefik.label()))
                .proof_within(std::time::Duration::from_millis(20))
                .build()
                .unwrap();
            server.state().replaced_after = Some(answers);
            match traefik.apply(&configuration).await {
                Ok(_) => break,
                Err(error) => kinds.push(error.kind()),
            }
        }
        let proof: Vec<_> = kinds.into_iter().filter(|kind| *kind != "not applied").collect();
        assert!(!proof.is_empty() && proof.iter().all(|kind| *kind == "overwritten"), "{proof:?}");
    }
}
