//! NATS with nats-py: clients are back by themselves, what they publish in the gap is sent later, and what others publish in
//! the gap does not reach them.

use std::time::Instant;

use ilb_connections::Connection;
use ilb_testbed::apps::{Clients, Library, Nats};
use serde_json::{Value, json};

use super::{Stage, alone_with_applications};

/// A NATS server behind Traefik, and a process with sessions. That of the name `observer` goes past Traefik.
struct Bus {
    stage: Stage,
    clients: Clients,
    _server: Nats,
}

impl Bus {
    async fn start() -> Self {
        let (stage, clients) = (Stage::start().await, Clients::start(Library::Nats).unwrap());
        let server = Nats::start(Stage::server()).await.unwrap();
        clients.connect("observer", Stage::beside(), json!({})).await.unwrap();
        Self { stage, clients, _server: server }
    }

    /// Connects a session that does not come back before it is [released](Self::release).
    async fn connect(&self, session: &str) {
        self.clients.connect(session, self.stage.entry(), json!({"hold": true})).await.unwrap();
    }

    /// Lets a session come back, and waits for it.
    async fn release(&self, session: &str) {
        let released = Instant::now();
        self.clients.call(session, "release", json!({})).await.unwrap();
        self.wait_for(session, "reconnections", &json!(1)).await;
        println!("{session}: back after {:?}", released.elapsed());
    }

    async fn subscribe(&self, session: &str, subject: &str) {
        self.clients.call(session, "subscribe", json!({"subject": subject})).await.unwrap();
    }

    async fn publish(&self, session: &str, subject: &str, payload: &str) {
        self.clients.call(session, "publish", json!({"subject": subject, "payload": payload})).await.unwrap();
    }

    /// Waits until the server has processed all that this session has published.
    async fn flush(&self, session: &str) -> anyhow::Result<()> {
        self.clients.call(session, "flush", json!({})).await.map(drop)
    }

    /// Returns the only connection, once the answer to this session is beyond doubt.
    async fn answered(&self, session: &str) -> Connection {
        self.stage.exchange_until_answered(async || self.flush(session).await).await
    }

    /// Waits until this part of the state of a session is `expected`.
    async fn wait_for(&self, session: &str, part: &str, expected: &Value) {
        self.clients.wait_for(session, part, expected).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_client_of_nats_is_back_by_itself_and_sends_what_it_published_in_the_gap() {
    if !alone_with_applications(
        "protocols::nats::a_client_of_nats_is_back_by_itself_and_sends_what_it_published_in_the_gap",
    ) {
        return;
    }
    let bus = Bus::start().await;
    bus.subscribe("observer", "numbers").await;
    bus.connect("publisher").await;
    bus.publish("publisher", "numbers", "before").await;
    let connection = bus.answered("publisher").await;
    bus.stage.close_answered(&connection).await;
    bus.wait_for("publisher", "disconnections", &json!(1)).await;
    bus.publish("publisher", "numbers", "in the gap").await;
    bus.release("publisher").await;
    bus.publish("publisher", "numbers", "after").await;
    bus.flush("publisher").await.unwrap();
    bus.wait_for("observer", "received", &json!(["before", "in the gap", "after"])).await;
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_subscriber_of_nats_is_back_by_itself_and_misses_only_the_gap() {
    if !alone_with_applications("protocols::nats::a_subscriber_of_nats_is_back_by_itself_and_misses_only_the_gap") {
        return;
    }
    let bus = Bus::start().await;
    bus.connect("subscriber").await;
    bus.subscribe("subscriber", "news").await;
    bus.publish("observer", "news", "before").await;
    bus.wait_for("subscriber", "received", &json!(["before"])).await;
    let connection = bus.answered("subscriber").await;
    bus.stage.close_answered(&connection).await;
    bus.wait_for("subscriber", "disconnections", &json!(1)).await;
    bus.publish("observer", "news", "in the gap").await;
    bus.flush("observer").await.unwrap();
    bus.release("subscriber").await;
    bus.flush("subscriber").await.unwrap(); // its subscription is there again
    bus.publish("observer", "news", "after").await;
    bus.wait_for("subscriber", "received", &json!(["before", "after"])).await;
}
