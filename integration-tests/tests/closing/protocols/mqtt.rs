//! MQTT with mosquitto and paho-mqtt: clients are back by themselves, no message of `QoS 1` is lost, and wills are published.

use std::time::Instant;

use ilb_testbed::{
    apps::{Clients, Library, Mosquitto},
    eventually,
};
use serde_json::{Value, json};

use super::{Stage, alone_with_applications};

/// A mosquitto behind Traefik, and a process with sessions. That of the name `observer` goes past Traefik.
struct Broker {
    stage: Stage,
    clients: Clients,
    _server: Mosquitto,
}

impl Broker {
    async fn start() -> Self {
        let (stage, clients) = (Stage::start().await, Clients::start(Library::Paho).unwrap());
        let server = Mosquitto::start(Stage::server()).await.unwrap();
        let this = Self { stage, clients, _server: server };
        this.clients
            .connect("observer", Stage::beside(), json!({"name": "observer", "persistent": true}))
            .await
            .unwrap();
        this.wait_for("observer", "kept", &json!([false])).await;
        this
    }

    /// Connects a client that is named like its session, and waits until the broker has accepted it. With `will` it has one,
    /// and does not come back before it is released.
    async fn connect(&self, session: &str, will: Option<&str>) {
        let more = json!({"name": session, "persistent": true, "will": will, "hold": will.is_some()});
        self.clients.connect(session, self.stage.entry(), more).await.unwrap();
        self.wait_for(session, "kept", &json!([false])).await;
    }

    async fn subscribe(&self, session: &str, topic: &str) {
        self.clients.call(session, "subscribe", json!({"topic": topic})).await.unwrap();
    }

    /// Publishes with `QoS 1`, and waits for the confirmation.
    async fn publish(&self, session: &str, topic: &str, payload: &str) -> anyhow::Result<()> {
        let arguments = json!({"topic": topic, "payload": payload});
        let confirmed = self.clients.call(session, "publish", arguments).await?;
        anyhow::ensure!(confirmed == json!(true), "not confirmed: {payload}");
        Ok(())
    }

    async fn state(&self, session: &str) -> Value {
        self.clients.call(session, "state", json!({})).await.unwrap()
    }

    /// Waits until this part of the state of a session is `expected`.
    async fn wait_for(&self, session: &str, part: &str, expected: &Value) {
        self.clients.wait_for(session, part, expected).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_persistent_client_of_mqtt_is_back_by_itself_and_misses_nothing_of_qos_1() {
    if !alone_with_applications(
        "protocols::mqtt::a_persistent_client_of_mqtt_is_back_by_itself_and_misses_nothing_of_qos_1",
    ) {
        return;
    }
    let broker = Broker::start().await;
    broker.subscribe("observer", "wills").await;
    broker.connect("client", Some("wills")).await;
    broker.subscribe("client", "news").await;
    let publish = async || broker.publish("client", "elsewhere", "answered").await;
    let connection = broker.stage.exchange_until_answered(publish).await;
    broker.stage.close_answered(&connection).await;

    // The broker keeps what is published in the gap, and delivers it when the client is back.
    broker.publish("observer", "news", "in the gap").await.unwrap();
    let released = Instant::now();
    broker.clients.call("client", "release", json!({})).await.unwrap();
    broker.wait_for("client", "kept", &json!([false, true])).await;
    println!("back after {:?}", released.elapsed());
    broker.publish("observer", "news", "later").await.unwrap();
    broker.wait_for("client", "received", &json!(["in the gap", "later"])).await;
    // For the broker the client went without a word.
    broker.wait_for("observer", "received", &json!(["client"])).await;
    println!("ends: {}", broker.state("client").await["ends"]);
}

/// Number of closings of the publisher's connection.
const CLOSINGS: usize = 4;
/// Number of messages around each.
const MESSAGES: usize = 50;

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn messages_of_qos_1_arrive_though_the_connection_of_their_publisher_is_closed_under_way() {
    if !alone_with_applications(
        "protocols::mqtt::messages_of_qos_1_arrive_though_the_connection_of_their_publisher_is_closed_under_way",
    ) {
        return;
    }
    let broker = Broker::start().await;
    broker.subscribe("observer", "numbers").await;
    broker.connect("publisher", None).await;
    let mut number = 0;
    // Any moment will do: with the conditions none is under way.
    for closing in 0..CLOSINGS {
        let connection = broker.stage.connection().await;
        for at in 0..MESSAGES {
            let arguments = json!({"topic": "numbers", "payload": number.to_string(), "wait": false});
            broker.clients.call("publisher", "publish", arguments).await.unwrap();
            number += 1;
            if at == MESSAGES / 2 {
                broker.stage.close_any(&connection).await;
            }
        }
        let kept: Vec<bool> = (0..closing + 2).map(|time| time > 0).collect();
        broker.wait_for("publisher", "kept", &json!(kept)).await;
    }
    eventually("all have arrived", async || {
        let state = broker.state("observer").await;
        let received: Vec<&str> = state["received"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let missing: Vec<usize> = (0..number).filter(|n| !received.contains(&n.to_string().as_str())).collect();
        anyhow::ensure!(missing.is_empty(), "{missing:?} are missing");
        println!("{number} messages, {} deliveries", received.len());
        Ok(())
    })
    .await
    .unwrap();
}
