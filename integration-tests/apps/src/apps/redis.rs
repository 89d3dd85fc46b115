//! Redis: a primary with replicas, of which one has to confirm each write (`WAIT`).

use anyhow::{Context, ensure};
use ilb_testbed::{
    apps::{Clients, Library, Redis as Server},
    eventually,
};
use serde_json::{Value, json};

use crate::{
    application::{Application, count_list},
    cluster::Cluster,
    event::Event,
    servers::Servers,
    window::Stored,
    workers::Load,
};

pub(crate) struct Redis {
    servers: Servers<Server>,
    /// Server that writes go to.
    primary: u16,
    operator: Clients,
}

const PRIMARY: &str = "primary";
const REPLICAS: &str = "replicas";

impl Application for Redis {
    type Server = Server;

    const NAME: &'static str = "redis";
    const EXAMPLE: &'static str = "redis-values.yaml";
    const GUIDE: &'static str = include_str!("../page/redis.md");
    const POOL: &'static str = REPLICAS;
    const SERVERS: (u16, u16) = (2, 3);
    const MORE: &'static [Event] = &[Event::RoleChange, Event::Failover];

    async fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let primary = 1;
        let server = Server::start(cluster.place(PRIMARY, primary)?).await?;
        cluster.add_pod(PRIMARY, primary).await?;
        let operator = Clients::start_within(&cluster.network(), Library::Redis)?;
        let mut servers = Servers::default();
        servers.insert(primary, server);
        Ok(Self { servers, primary, operator })
    }

    async fn new_server(&self, cluster: &Cluster, index: u16) -> anyhow::Result<Self::Server> {
        let primary = self.servers.get(self.primary)?.address();
        Server::replica_of(cluster.place(REPLICAS, index)?, primary).await
    }

    async fn start_server(&mut self, cluster: &Cluster, index: u16) -> anyhow::Result<()> {
        let server = self.new_server(cluster, index).await?;
        self.servers.insert(index, server);
        self.wait_until_followed(index).await
    }

    fn servers(&mut self) -> &mut Servers<Self::Server> {
        &mut self.servers
    }

    fn loads(&self) -> anyhow::Result<Vec<(&'static str, Load)>> {
        let load = |does: &str, clients| Load {
            script: "use_redis.py",
            clients,
            stores: does == "write",
            pause: 0.3,
            options: json!({"does": does}),
        };
        Ok(vec![
            (PRIMARY, load("write", 20)),
            (REPLICAS, load("read", 40)),
            (PRIMARY, load("wait", 4)),
            (PRIMARY, load("publish", 1)),
            (REPLICAS, load("subscribe", 10)),
        ])
    }

    async fn stored(&mut self, _: &Cluster) -> anyhow::Result<Option<Stored>> {
        let numbers = self.command(self.primary, json!(["LRANGE", "operations", "0", "-1"])).await?;
        Ok(Some(count_list(&numbers)?))
    }

    async fn happen(
        &mut self,
        cluster: &Cluster,
        event: Event,
        servers: &mut Vec<u16>,
        next: u16,
    ) -> anyhow::Result<()> {
        let old = self.primary;
        if event == Event::RoleChange {
            let new = servers.remove(0);
            self.hand_over(new).await?;
            // The order of an operator's hooks: who is the primary by then has its label last.
            cluster.set_pool(old, Some(PRIMARY), Some(REPLICAS)).await?;
            cluster.set_pool(new, Some(REPLICAS), Some(PRIMARY)).await?;
            servers.push(old);
            return Ok(());
        }
        self.servers.kill(old)?;
        cluster.set_not_ready(PRIMARY, old).await?;
        let new = self.most_advanced(servers).await?;
        servers.retain(|server| *server != new);
        self.command(new, json!(["REPLICAOF", "NO", "ONE"])).await?;
        self.primary = new;
        for other in servers.iter() {
            self.follow(*other).await?;
        }
        cluster.set_pool(new, Some(REPLICAS), Some(PRIMARY)).await?;
        cluster.remove_pod(old).await?;
        self.start_server(cluster, next).await?;
        cluster.add_pod(REPLICAS, next).await?;
        servers.push(next);
        Ok(())
    }
}

impl Redis {
    /// Hands the role over with `FAILOVER`, which pauses writes until the new primary has all of them.
    async fn hand_over(&mut self, new: u16) -> anyhow::Result<()> {
        let (old, to) = (self.primary, self.servers.get(new)?.address());
        let words = json!(["FAILOVER", "TO", to.ip().to_string(), to.port().to_string(), "TIMEOUT", "5000"]);
        self.command(old, words).await?;
        self.primary = new;
        eventually("the replica is the primary", async || {
            let role = self.command(new, json!(["ROLE"])).await?;
            ensure!(role[0] == "master", "it is {role}");
            Ok(())
        })
        .await?;
        for (other, _) in self.servers.except(&[new]) {
            self.follow(other).await?;
        }
        Ok(())
    }

    /// Makes a server follow the primary.
    async fn follow(&self, replica: u16) -> anyhow::Result<()> {
        let primary = self.servers.get(self.primary)?.address();
        let words = json!(["REPLICAOF", primary.ip().to_string(), primary.port().to_string()]);
        self.command(replica, words).await?;
        self.wait_until_followed(replica).await
    }

    /// Waits until a replica has all that its primary has.
    async fn wait_until_followed(&self, replica: u16) -> anyhow::Result<()> {
        eventually("the replica is connected", async || {
            let role = self.command(replica, json!(["ROLE"])).await?;
            ensure!(role[3] == "connected", "it is {role}");
            Ok(())
        })
        .await
    }

    /// Returns the replica that has received most.
    async fn most_advanced(&self, replicas: &[u16]) -> anyhow::Result<u16> {
        let mut received = Vec::new();
        for replica in replicas {
            let role = self.command(*replica, json!(["ROLE"])).await?;
            received.push((role[4].as_i64().context("no offset")?, *replica));
        }
        Ok(received.into_iter().max().context("no replica")?.1)
    }

    /// Sends a command to a server, past all balancers.
    async fn command(&self, index: u16, words: Value) -> anyhow::Result<Value> {
        let session = format!("server-{index}");
        if let Ok(answer) = self.operator.call(&session, "command", json!({"words": words})).await {
            return Ok(answer);
        }
        // It is the first one, or the connection has ended.
        self.operator.connect(&session, self.servers.get(index)?.address(), json!({})).await?;
        self.operator.call(&session, "command", json!({"words": words})).await
    }
}
