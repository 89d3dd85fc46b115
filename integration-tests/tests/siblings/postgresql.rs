//! A limit per backend keeps clients from being refused by PostgreSQL, whose administrators get in at any time.

use ilb_testbed::apps::{self, Clients, Library, Postgres, Raised};
use serde_json::json;

use crate::replicas::{Replicas, alone, backend};

const SERVERS: u8 = 2;
/// Parameters of each server: so many sessions are allowed.
const PARAMETERS: [(&str, &str); 2] = [("max_connections", "10"), ("superuser_reserved_connections", "0")];
/// Settings of each replica: less than the servers allow, because the limit is soft.
const SETTINGS: &[(&str, &str)] = &[("ILB_MAX_CONNECTIONS", "8")];
/// Connections that all servers together may get from ilb.
const PLACES: usize = 16;

#[tokio::test]
#[ignore = "needs the testbed: make test"]
async fn postgresql_behind_two_replicas_never_refuses_a_session() {
    apps::prepare().unwrap();
    if !alone("postgresql::postgresql_behind_two_replicas_never_refuses_a_session") {
        return;
    }
    let mut replicas = Replicas::new(0).await;
    let mut servers = Vec::new();
    for number in 1..=SERVERS {
        servers.push(Postgres::with(backend(number), &PARAMETERS).await.unwrap());
    }
    replicas.list_servers(SERVERS);
    replicas.settings = SETTINGS;
    replicas.list_siblings(&[0, 1]).await;
    for number in 0..2 {
        replicas.add(number, "ilb-siblings").await;
    }
    replicas.wait_until_ready_and_hearing(1).await;
    let clients = Clients::start(Library::Psycopg).unwrap();
    let (mut opened, mut refused) = ([0, 0], 0);
    // Session after session, in turns, each counted before the next, until both replicas have refused several.
    for attempt in 0..60 {
        let at = attempt % 2;
        let replica = &replicas.all[at];
        match clients.connect(&format!("session-{attempt}"), replica.entry_point(), json!({})).await {
            Ok(()) => {
                opened[at] += 1;
                replica.wait_until_counted(opened[at]).await;
            }
            Err(error) => {
                let raised = error.downcast::<Raised>().unwrap();
                assert!(!raised.message.contains("too many clients"), "refused by PostgreSQL: {raised}");
                refused += 1;
            }
        }
        if refused == 8 {
            break;
        }
    }
    let all = usize::try_from(opened[0] + opened[1]).unwrap();
    assert_eq!(refused, 8, "{opened:?} sessions, of at most {PLACES}");
    assert!((PLACES - 2..=PLACES + 2).contains(&all), "{opened:?} sessions, of at most {PLACES}");
    // What the limit leaves is there for those who do not come through ilb.
    for (number, server) in servers.iter().enumerate() {
        let name = format!("administrator-{number}");
        clients.connect(&name, server.address(), json!({})).await.unwrap();
        let rows = clients.call(&name, "execute", json!({"sql": "SELECT 1"})).await.unwrap();
        assert_eq!(rows, json!([[1]]));
    }
    replicas.assert_ready().await;
}
