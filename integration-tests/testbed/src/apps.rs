//! Applications that people run: real servers at any address, and their users' client libraries.
//!
//! The servers are Debian's packages, the libraries those of PyPI: see the script `prepare`. A server keeps its data in a
//! folder of its own, and ends with its value.
//!
//! ```no_run
//! use std::net::SocketAddr;
//!
//! use ilb_testbed::apps::{Clients, Library, Postgres};
//! use serde_json::json;
//!
//! # async fn example() -> anyhow::Result<()> {
//! let address: SocketAddr = "127.0.0.1:5432".parse()?;
//! let server = Postgres::start(address).await?;
//! let clients = Clients::start(Library::Psycopg)?;
//! clients.connect("a", server.address(), json!({})).await?;
//! let rows = clients.call("a", "execute", json!({"sql": "SELECT 1"})).await?;
//! assert_eq!(rows, json!([[1]]));
//! # Ok(())
//! # }
//! ```

mod clients;
mod mosquitto;
mod nats;
mod pgbouncer;
mod place;
mod postgres;
mod program;
mod rabbitmq;
mod redis;
mod server;

pub use self::{
    clients::{Clients, Library, Pending, Raised},
    mosquitto::Mosquitto,
    nats::Nats,
    pgbouncer::PgBouncer,
    place::Place,
    postgres::Postgres,
    program::Program,
    rabbitmq::{PortMapper, RabbitMq},
    redis::Redis,
    server::Running,
};

use crate::tools;

/// Prepares the servers and the client libraries, apart from RabbitMQ, which is large. Needs the network once, so a test in a network namespace of its own calls
/// this before it enters that.
pub fn prepare() -> anyhow::Result<()> {
    let servers = [
        "postgres",
        "initdb",
        "psql",
        "pg_basebackup",
        "pgbench",
        "pgbouncer",
        "redis-server",
        "mosquitto",
        "nats-server",
        "ws",
    ];
    for name in servers.into_iter().chain(["python-with-clients"]) {
        tools::path(name)?;
    }
    Ok(())
}
