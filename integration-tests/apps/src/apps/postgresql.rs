//! PostgreSQL: a primary and streaming standbys, of which one has to confirm each commit, over TLS. Clients connect to them, or to
//! a pgbouncer beside each.

mod database;

use std::time::Duration;

use anyhow::{Context, ensure};
use ilb_testbed::{
    apps::{Clients, Library, Raised, Running as _},
    eventually, tools,
};
use serde_json::json;

use self::database::{Database, MAX_CONNECTIONS, standby_that_starts_up};
use crate::{
    application::{Application, count},
    certificate::Certificate,
    cluster::Cluster,
    event::Event,
    servers::Servers,
    window::Stored,
    workers::Load,
};

/// PostgreSQL, whose clients share its connections if it `IS_POOLED`.
pub(crate) struct PostgreSql<const IS_POOLED: bool> {
    certificate: Certificate,
    servers: Servers<Database>,
    /// Server that writes go to.
    primary: u16,
}

const PRIMARY: &str = "primary";
const REPLICAS: &str = "replicas";
/// Sessions that are refused before a pool counts as full.
const REFUSALS: usize = 5;

impl<const IS_POOLED: bool> Application for PostgreSql<IS_POOLED> {
    type Server = Database;

    const NAME: &'static str = if IS_POOLED { "pgbouncer" } else { "postgresql" };
    const EXAMPLE: &'static str = if IS_POOLED { "pgbouncer-values.yaml" } else { "database-closing-values.yaml" };
    const GUIDE: &'static str =
        if IS_POOLED { include_str!("../page/pgbouncer.md") } else { include_str!("../page/postgresql.md") };
    const POOL: &'static str = REPLICAS;
    const SERVERS: (u16, u16) = (2, 3);
    const MORE: &'static [Event] = if IS_POOLED {
        &[Event::RoleChange, Event::Failover]
    } else {
        &[Event::RoleChange, Event::Failover, Event::StartsUp, Event::Full]
    };

    async fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let certificate = Certificate::for_address(cluster.entry(PRIMARY)?.ip())?;
        let primary = 1;
        let server = Database::primary(cluster.place(PRIMARY, primary)?, &certificate, IS_POOLED).await?;
        let mut servers = Servers::default();
        servers.insert(primary, server);
        cluster.add_pod(PRIMARY, primary).await?;
        Ok(Self { certificate, servers, primary })
    }

    async fn new_server(&self, cluster: &Cluster, index: u16) -> anyhow::Result<Self::Server> {
        let primary = self.servers.get(self.primary)?.postgres.address();
        Database::standby(cluster.place(REPLICAS, index)?, primary, &self.certificate, IS_POOLED).await
    }

    fn servers(&mut self) -> &mut Servers<Self::Server> {
        &mut self.servers
    }

    fn loads(&self) -> anyhow::Result<Vec<(&'static str, Load)>> {
        let load = |does: &str, clients| Load {
            script: "use_psycopg.py",
            clients,
            stores: does == "write",
            pause: 0.3,
            // Transactions of a client go through several connections of pgbouncer, which does not know what was prepared.
            options: json!({"does": does, "authority": self.certificate.authority(), "prepares": !IS_POOLED}),
        };
        let pgbench = Load {
            script: "use_pgbench.py",
            clients: 8,
            stores: true,
            pause: 0.5,
            options: json!({"pgbench": tools::path("pgbench")?, "authority": self.certificate.authority()}),
        };
        Ok(vec![
            (PRIMARY, load("write", 20)),
            (PRIMARY, pgbench),
            (REPLICAS, load("read", 40)),
            (REPLICAS, load("visit", 4)),
        ])
    }

    async fn stored(&mut self, _: &Cluster) -> anyhow::Result<Option<Stored>> {
        let rows = self.servers.get(self.primary)?.postgres.sql("SELECT number FROM operations").await?;
        Ok(Some(count(rows.lines())?))
    }

    async fn happen(
        &mut self,
        cluster: &Cluster,
        event: Event,
        servers: &mut Vec<u16>,
        next: u16,
    ) -> anyhow::Result<()> {
        match event {
            Event::RoleChange => self.change_role(cluster, servers).await,
            Event::Failover => self.fail_over(cluster, servers, next).await,
            Event::Full => self.fill(cluster, servers).await,
            _ => self.add_one_that_starts_up(cluster, servers, next).await,
        }
    }
}

impl<const IS_POOLED: bool> PostgreSql<IS_POOLED> {
    /// Passes the role to the first standby, as operators do: the label goes first, the old primary sends what it has and
    /// exits, and becomes a standby.
    async fn change_role(&mut self, cluster: &Cluster, servers: &mut Vec<u16>) -> anyhow::Result<()> {
        let (old, new) = (self.primary, servers.remove(0));
        cluster.set_pool(old, Some(PRIMARY), None).await?;
        self.servers.get_mut(old)?.postgres.stop().await?;
        self.promote(cluster, new).await?;
        let address = self.servers.get(new)?.postgres.address();
        let server = &mut self.servers.get_mut(old)?.postgres;
        server.follow(address)?;
        server.start_again().await?;
        cluster.set_pool(old, None, Some(REPLICAS)).await?;
        servers.push(old);
        Ok(())
    }

    /// Kills the primary, and passes the role to the standby that has received most. One of them has all that was confirmed.
    async fn fail_over(&mut self, cluster: &Cluster, servers: &mut Vec<u16>, next: u16) -> anyhow::Result<()> {
        let old = self.primary;
        self.servers.kill(old)?;
        cluster.set_not_ready(PRIMARY, old).await?;
        let mut received = Vec::new();
        for index in servers.iter() {
            let server = &self.servers.get(*index)?.postgres;
            let position = server.sql("SELECT pg_last_wal_receive_lsn() - '0/0'::pg_lsn").await?;
            received.push((position.parse::<u64>()?, *index));
        }
        let (_, new) = received.into_iter().max().context("no standby")?;
        servers.retain(|server| *server != new);
        self.promote(cluster, new).await?;
        cluster.remove_pod(old).await?;
        self.start_server(cluster, next).await?;
        cluster.add_pod(REPLICAS, next).await?;
        servers.push(next);
        Ok(())
    }

    /// Makes a standby the primary that all others follow.
    async fn promote(&mut self, cluster: &Cluster, new: u16) -> anyhow::Result<()> {
        let (old, server) = (self.primary, &self.servers.get(new)?.postgres);
        let is_promoted = server.sql("SELECT pg_promote()").await?;
        ensure!(is_promoted == "t", "PostgreSQL was not promoted: {is_promoted}");
        let address = server.address();
        for (_, standby) in self.servers.except(&[new, old]) {
            standby.postgres.follow(address)?;
            standby.postgres.sql("SELECT pg_reload_conf()").await?;
        }
        self.primary = new;
        cluster.set_pool(new, Some(REPLICAS), Some(PRIMARY)).await
    }

    /// Adds a standby that is Ready for Kubernetes and tells its clients that it is not, and takes it away again.
    async fn add_one_that_starts_up(
        &mut self,
        cluster: &Cluster,
        servers: &mut [u16],
        next: u16,
    ) -> anyhow::Result<()> {
        let primary = self.servers.get(self.primary)?.postgres.address();
        let mut server = standby_that_starts_up(&cluster.place(REPLICAS, next)?, primary, &self.certificate).await?;
        cluster.add_pod(REPLICAS, next).await?;
        // For so long, that is: it is what the figure is about.
        tokio::time::sleep(Duration::from_secs(5)).await;
        cluster.remove_pod(next).await?;
        cluster.wait_until_in_force(REPLICAS, servers).await?;
        eventually("the server still runs", async || server.check_running()).await
    }

    /// Opens sessions until ilb refuses them, as it does before PostgreSQL has to: that has places left for its administrators.
    async fn fill(&self, cluster: &Cluster, servers: &[u16]) -> anyhow::Result<()> {
        let (crowd, entry) = (Clients::start(Library::Psycopg)?, cluster.entry(REPLICAS)?);
        let (mut opened, mut refused) = (0, 0);
        while refused < REFUSALS {
            match crowd.connect(&format!("session-{}", opened + refused), entry, json!({})).await {
                Ok(()) => opened += 1,
                Err(error) => {
                    let raised = error.downcast::<Raised>()?;
                    let is_by_server = raised.message.contains("too many clients");
                    ensure!(!is_by_server, "session {opened} was refused by PostgreSQL: {raised}");
                    refused += 1;
                }
            }
            ensure!(opened < MAX_CONNECTIONS * servers.len(), "{opened} sessions, and none is refused");
        }
        for index in servers {
            self.servers.get(*index)?.postgres.sql("SELECT 1").await.context("an administrator is refused")?;
        }
        Ok(())
    }
}
