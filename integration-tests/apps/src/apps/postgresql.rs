//! PostgreSQL: a primary and streaming standbys, of which one has to confirm each commit, over TLS.

use std::time::Duration;

use anyhow::{Context, ensure};
use ilb_testbed::{
    apps::{Postgres, Running as _},
    eventually,
};
use serde_json::json;

use crate::{
    application::{Application, count},
    certificate::Certificate,
    cluster::Cluster,
    event::Event,
    servers::Servers,
    window::Stored,
    workers::Load,
};

pub(crate) struct PostgreSql {
    certificate: Certificate,
    servers: Servers<Postgres>,
    /// Server that writes go to.
    primary: u16,
}

const PRIMARY: &str = "primary";
const REPLICAS: &str = "replicas";

impl Application for PostgreSql {
    type Server = Postgres;

    const NAME: &'static str = "postgresql";
    const EXAMPLE: &'static str = "database-closing-values.yaml";
    const GUIDE: &'static str = include_str!("../page/postgresql.md");
    const POOL: &'static str = REPLICAS;
    const SERVERS: (u16, u16) = (2, 3);
    const MORE: &'static [Event] = &[Event::RoleChange, Event::Failover, Event::StartsUp];

    async fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let certificate = Certificate::for_address(cluster.entry(PRIMARY)?.ip())?;
        let mut this = Self { certificate, servers: Servers::default(), primary: 1 };
        let parameters = this.parameters();
        let server = Postgres::with(cluster.place(PRIMARY, this.primary)?, &borrowed(&parameters)).await?;
        // Without a standby, no commit would be confirmed yet.
        server.sql("SET synchronous_commit = local; CREATE TABLE operations (number bigint)").await?;
        this.servers.insert(this.primary, server);
        cluster.add_pod(PRIMARY, this.primary).await?;
        Ok(this)
    }

    async fn new_server(&self, cluster: &Cluster, index: u16) -> anyhow::Result<Self::Server> {
        let (primary, parameters) = (self.primary()?.address(), self.parameters());
        Postgres::standby(cluster.place(REPLICAS, index)?, primary, &borrowed(&parameters)).await
    }

    fn servers(&mut self) -> &mut Servers<Self::Server> {
        &mut self.servers
    }

    fn loads(&self) -> Vec<(&'static str, Load)> {
        let load = |does: &str, clients| Load {
            script: "use_psycopg.py",
            clients,
            stores: does == "write",
            pause: 0.3,
            options: json!({"does": does, "authority": self.certificate.authority()}),
        };
        vec![(PRIMARY, load("write", 20)), (REPLICAS, load("read", 40)), (REPLICAS, load("visit", 4))]
    }

    async fn stored(&mut self, _: &Cluster) -> anyhow::Result<Option<Stored>> {
        let rows = self.primary()?.sql("SELECT number FROM operations").await?;
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
            _ => self.add_one_that_starts_up(cluster, servers, next).await,
        }
    }
}

impl PostgreSql {
    /// Passes the role to the first standby, as operators do: the label goes first, the old primary sends what it has and
    /// exits, and becomes a standby.
    async fn change_role(&mut self, cluster: &Cluster, servers: &mut Vec<u16>) -> anyhow::Result<()> {
        let (old, new) = (self.primary, servers.remove(0));
        cluster.set_pool(old, Some(PRIMARY), None).await?;
        self.servers.get_mut(old)?.stop().await?;
        self.promote(cluster, new).await?;
        let (address, server) = (self.primary()?.address(), self.servers.get_mut(old)?);
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
            let server = self.servers.get(*index)?;
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
        let (old, server) = (self.primary, self.servers.get(new)?);
        let is_promoted = server.sql("SELECT pg_promote()").await?;
        ensure!(is_promoted == "t", "PostgreSQL was not promoted: {is_promoted}");
        let address = server.address();
        for (_, standby) in self.servers.except(&[new, old]) {
            standby.follow(address)?;
            standby.sql("SELECT pg_reload_conf()").await?;
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
        let (primary, parameters) = (self.primary()?.address(), self.parameters());
        let place = cluster.place(REPLICAS, next)?;
        let mut server = Postgres::standby_that_starts_up(place, primary, &borrowed(&parameters)).await?;
        cluster.add_pod(REPLICAS, next).await?;
        // For so long, that is: it is what the figure is about.
        tokio::time::sleep(Duration::from_secs(5)).await;
        cluster.remove_pod(next).await?;
        cluster.wait_until_in_force(REPLICAS, servers).await?;
        eventually("the server still runs", async || server.check_running()).await
    }

    fn primary(&self) -> anyhow::Result<&Postgres> {
        self.servers.get(self.primary)
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        vec![
            ("ssl", "on".to_owned()),
            ("ssl_cert_file", self.certificate.certificate().display().to_string()),
            ("ssl_key_file", self.certificate.key().display().to_string()),
            ("synchronous_standby_names", "ANY 1 (*)".to_owned()),
        ]
    }
}

fn borrowed<'a>(parameters: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    parameters.iter().map(|(name, value)| (*name, value.as_str())).collect()
}
