//! PostgreSQL with psycopg: an idle session notices it at its next statement, a running statement is left alone, and an open
//! transaction is rolled back.

use ilb_testbed::{
    apps::{Clients, Library, Postgres},
    eventually,
};
use serde_json::{Value, json};

use super::{Stage, alone_with_applications};

fn sql(statement: &str) -> Value {
    json!({"sql": statement})
}

/// A PostgreSQL behind Traefik, and a process with sessions. That of the name `observer` goes past Traefik.
struct Database {
    stage: Stage,
    server: Postgres,
    clients: Clients,
}

impl Database {
    async fn start() -> Self {
        let (stage, clients) = (Stage::start().await, Clients::start(Library::Psycopg).unwrap());
        let server = Postgres::start(Stage::server()).await.unwrap();
        clients.connect("observer", Stage::beside(), json!({})).await.unwrap();
        let this = Self { stage, server, clients };
        this.execute("observer", "CREATE TABLE numbers (number int)").await.unwrap();
        this
    }

    async fn connect(&self, session: &str, autocommit: bool) {
        self.clients.connect(session, self.stage.entry(), json!({"autocommit": autocommit})).await.unwrap();
    }

    async fn execute(&self, session: &str, statement: &str) -> anyhow::Result<Value> {
        self.clients.call(session, "execute", sql(statement)).await
    }

    async fn exception(&self, session: &str, statement: &str) -> String {
        let raised = self.clients.exception(session, "execute", sql(statement)).await.unwrap();
        println!("{session}: {raised}");
        raised.kind
    }

    async fn count(&self) -> Value {
        self.execute("observer", "SELECT count(*) FROM numbers").await.unwrap()
    }

    /// Waits until a statement that contains `text` runs.
    async fn wait_until_running(&self, text: &str) {
        let active = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND pid <> pg_backend_pid() AND query LIKE '%{text}%'"
        );
        eventually("the statement runs", async || {
            let count = self.execute("observer", &active).await?;
            anyhow::ensure!(count == json!([[1]]), "{count} run");
            Ok(())
        })
        .await
        .unwrap();
    }

    async fn wait_for_log(&self, text: &str) {
        eventually("the server logs it", async || {
            let log = self.server.log()?;
            anyhow::ensure!(log.contains(text), "{log}");
            Ok(())
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn an_idle_session_of_postgresql_notices_it_at_its_next_statement() {
    if !alone_with_applications("protocols::postgresql::an_idle_session_of_postgresql_notices_it_at_its_next_statement")
    {
        return;
    }
    let database = Database::start().await;
    database.connect("idle", true).await;
    database.execute("idle", "SELECT pg_sleep(0.05)").await.unwrap();
    let connection = database.stage.connection().await;
    database.stage.close_answered(&connection).await;
    assert_eq!(database.exception("idle", "INSERT INTO numbers VALUES (1)").await, "OperationalError");
    assert_eq!(database.count().await, json!([[0]]), "what is sent to a closed connection is not executed");
    database.wait_for_log("could not receive data from client: Connection reset by peer").await;
    database.connect("idle", true).await;
    database.execute("idle", "INSERT INTO numbers VALUES (1)").await.unwrap();
    assert_eq!(database.count().await, json!([[1]]));
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_running_statement_of_postgresql_is_left_alone_until_its_result_is_there() {
    if !alone_with_applications(
        "protocols::postgresql::a_running_statement_of_postgresql_is_left_alone_until_its_result_is_there",
    ) {
        return;
    }
    let database = Database::start().await;
    database.connect("working", true).await;
    let slow = sql("INSERT INTO numbers SELECT 2 FROM pg_sleep(1)");
    let running = database.clients.begin("working", "execute", slow.clone()).unwrap();
    database.wait_until_running("INSERT INTO").await;
    let connection = database.stage.connection().await;
    database.stage.assert_asked(&connection).await;
    database.stage.close_answered(&connection).await; // waits for the end
    assert_eq!(running.end().await.unwrap(), json!(1), "the client has its result");
    assert_eq!(database.count().await, json!([[1]]));
    assert_eq!(database.exception("working", "SELECT 1").await, "OperationalError");

    // Without the condition the client gets an error, and yet the statement is committed: to repeat it would double it.
    database.connect("working", true).await;
    let running = database.clients.begin("working", "execute", slow).unwrap();
    database.wait_until_running("INSERT INTO").await;
    database.stage.close_any(&database.stage.connection().await).await;
    let raised = running.exception().await.unwrap();
    println!("cut: {raised}");
    assert_eq!(raised.kind, "OperationalError");
    eventually("the server has committed it all the same", async || {
        let count = database.count().await;
        anyhow::ensure!(count == json!([[2]]), "{count}");
        Ok(())
    })
    .await
    .unwrap();
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn an_open_transaction_of_postgresql_is_rolled_back() {
    if !alone_with_applications("protocols::postgresql::an_open_transaction_of_postgresql_is_rolled_back") {
        return;
    }
    let database = Database::start().await;
    database.connect("open", false).await;
    database.execute("open", "INSERT INTO numbers SELECT 3 FROM pg_sleep(0.05)").await.unwrap();
    // The kernel cannot tell it from an idle session.
    let connection = database.stage.connection().await;
    database.stage.close_answered(&connection).await;
    assert_eq!(database.exception("open", "COMMIT").await, "OperationalError");
    database.wait_for_log("unexpected EOF on client connection with an open transaction").await;
    assert_eq!(database.count().await, json!([[0]]), "nothing of it was stored, so it can be repeated");
}

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn a_pool_that_checks_its_connections_to_postgresql_hides_it() {
    if !alone_with_applications("protocols::postgresql::a_pool_that_checks_its_connections_to_postgresql_hides_it") {
        return;
    }
    let database = Database::start().await;
    for (pool, check) in [("checked", true), ("unchecked", false)] {
        let arguments = json!({"size": 1, "check": check, "host": database.stage.entry().ip(), "port": 3333});
        database.clients.call(pool, "open_pool", arguments).await.unwrap();
        let insert = sql("INSERT INTO numbers SELECT 4 FROM pg_sleep(0.05)");
        database.clients.call(pool, "execute_in_pool", insert.clone()).await.unwrap();
        let connection = database.stage.connection().await;
        database.stage.close_answered(&connection).await;
        if !check {
            // It hands out the dead connection once, and then a new one.
            let raised = database.clients.exception(pool, "execute_in_pool", insert.clone()).await.unwrap();
            println!("{pool}: {raised}");
            assert_eq!(raised.kind, "OperationalError");
        }
        database.clients.call(pool, "execute_in_pool", insert).await.unwrap();
        let connection = database.stage.connection().await;
        database.stage.close_any(&connection).await;
        database.clients.call(pool, "close_pool", json!({})).await.unwrap();
        database.stage.wait_until_empty().await;
    }
    assert_eq!(database.count().await, json!([[4]]), "each that returned is stored, and stored once");
}
