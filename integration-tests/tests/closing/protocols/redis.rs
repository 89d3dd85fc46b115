//! Redis with redis-py: by default nobody notices, except that a subscriber misses what is published in the gap.

use ilb_connections::Connection;
use ilb_testbed::{
    apps::{Clients, Library, Redis},
    eventually,
};
use serde_json::{Value, json};

use super::{Stage, alone_with_applications};

/// A Redis behind Traefik, and a process with sessions. That of the name `observer` goes past Traefik.
struct Store {
    stage: Stage,
    clients: Clients,
    _server: Redis,
}

impl Store {
    async fn start() -> Self {
        let (stage, clients) = (Stage::start().await, Clients::start(Library::Redis).unwrap());
        let server = Redis::start(Stage::server()).await.unwrap();
        clients.connect("observer", Stage::beside(), json!({})).await.unwrap();
        Self { stage, clients, _server: server }
    }

    /// Connects a session, which tries commands again as the library does by default, or not.
    async fn connect(&self, session: &str, retries: bool) {
        self.clients.connect(session, self.stage.entry(), json!({"retries": retries})).await.unwrap();
    }

    async fn command(&self, session: &str, words: &[&str]) -> anyhow::Result<Value> {
        self.clients.call(session, "command", json!({"words": words})).await
    }

    /// Returns the only connection, once the answer to a command of this session is beyond doubt.
    async fn answered(&self, session: &str) -> Connection {
        self.stage.exchange_until_answered(async || self.command(session, &["PING"]).await.map(drop)).await
    }

    /// Starts a command that waits for an element of `list`, and returns once the server knows of it.
    async fn wait_for_element(&self, session: &str, list: &str) -> ilb_testbed::apps::Pending {
        let pending = self.clients.begin(session, "command", json!({"words": ["BLPOP", list, "0"]})).unwrap();
        eventually("the server has a client that waits", async || {
            let info = self.command("observer", &["INFO", "clients"]).await?;
            anyhow::ensure!(info["blocked_clients"] == json!(1), "{info}");
            Ok(())
        })
        .await
        .unwrap();
        pending
    }

    async fn subscribe(&self, session: &str) {
        self.clients.call(session, "subscribe", json!({"channel": "news"})).await.unwrap();
        self.wait_for_subscriber(None).await;
    }

    /// Waits until the client behind the only connection, which is not `old`, has subscribed.
    async fn wait_for_subscriber(&self, old: Option<&Connection>) {
        eventually("the client has subscribed", async || {
            let new = self.stage.connection().await;
            anyhow::ensure!(old.is_none_or(|old| old.cookie != new.cookie), "the old connection is still there");
            let subscribers = self.command("observer", &["CLIENT", "LIST", "TYPE", "PUBSUB"]).await?;
            let address = format!(" addr={} ", new.local);
            let has_subscribed = |client: &str| client.contains(&address) && client.contains(" sub=1 ");
            anyhow::ensure!(subscribers.as_str().is_some_and(|all| all.lines().any(has_subscribed)), "{subscribers}");
            Ok(())
        })
        .await
        .unwrap();
    }

    async fn publish(&self, message: &str) {
        self.command("observer", &["PUBLISH", "news", message]).await.unwrap();
    }

    /// Waits until the session has received exactly these messages. Returns its errors.
    async fn wait_for_messages(&self, session: &str, messages: &[&str]) -> Value {
        eventually("the messages arrive", async || {
            let state = self.clients.call(session, "state", json!({})).await?;
            anyhow::ensure!(state["received"] == json!(messages), "{state}");
            Ok(state["errors"].clone())
        })
        .await
        .unwrap()
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn clients_of_redis_that_retry_see_nothing() {
    if !alone_with_applications("protocols::redis::clients_of_redis_that_retry_see_nothing") {
        return;
    }
    let store = Store::start().await;

    store.connect("idle", true).await;
    let connection = store.answered("idle").await;
    store.stage.close_answered(&connection).await;
    store.command("idle", &["INCR", "counter"]).await.unwrap();
    let connection = store.stage.connection().await;
    assert_eq!(store.command("observer", &["GET", "counter"]).await.unwrap(), json!("1"), "executed once");
    store.stage.close_any(&connection).await;

    // One that waits looks as if it were asked, and is left alone; cut all the same, it waits again.
    let waiting = store.wait_for_element("idle", "list").await;
    let connection = store.stage.connection().await;
    store.stage.assert_asked(&connection).await;
    store.stage.close_any(&connection).await;
    eventually("it waits on a new connection", async || {
        let new = store.stage.connection().await;
        anyhow::ensure!(new.cookie != connection.cookie, "the old one is still there");
        Ok(())
    })
    .await
    .unwrap();
    store.command("observer", &["RPUSH", "list", "element"]).await.unwrap();
    assert_eq!(waiting.end().await.unwrap(), json!(["list", "element"]));
    let connection = store.stage.connection().await;
    store.stage.close_any(&connection).await;
    store.stage.wait_until_empty().await;

    // A subscriber subscribes again. What is published in between is lost, as Redis says of its channels.
    store.connect("subscriber", true).await;
    store.stage.close_any(&store.stage.connection().await).await;
    store.stage.wait_until_empty().await;
    store.subscribe("subscriber").await;
    store.publish("before").await;
    assert_eq!(store.wait_for_messages("subscriber", &["before"]).await, json!([]));
    let connection = store.stage.connection().await;
    store.stage.close_answered(&connection).await;
    store.wait_for_subscriber(Some(&connection)).await;
    store.publish("after").await;
    assert_eq!(store.wait_for_messages("subscriber", &["before", "after"]).await, json!([]));
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn clients_of_redis_that_do_not_retry_see_an_error_only_while_they_wait() {
    if !alone_with_applications(
        "protocols::redis::clients_of_redis_that_do_not_retry_see_an_error_only_while_they_wait",
    ) {
        return;
    }
    let store = Store::start().await;

    // The library notices the end of an idle connection before it uses it.
    store.connect("idle", false).await;
    let connection = store.answered("idle").await;
    store.stage.close_answered(&connection).await;
    store.stage.wait_until_client_is_told().await;
    store.command("idle", &["INCR", "counter"]).await.unwrap();

    let waiting = store.wait_for_element("idle", "list").await;
    let connection = store.stage.connection().await;
    store.stage.assert_asked(&connection).await;
    store.stage.close_any(&connection).await;
    let raised = waiting.exception().await.unwrap();
    println!("BLPOP: {raised}");
    assert_eq!(raised.kind, "ConnectionError");
    store.command("idle", &["INCR", "counter"]).await.unwrap();
    assert_eq!(store.command("observer", &["GET", "counter"]).await.unwrap(), json!("2"));
    store.stage.close_any(&store.stage.connection().await).await;
    store.stage.wait_until_empty().await;
}
