//! NATS: a cluster, whose clients send requests to a queue group.

use std::net::SocketAddr;

use anyhow::ensure;
use ilb_testbed::apps::{Clients, Library, Nats as Server};
use serde_json::json;

use crate::{
    application::{Application, count_list},
    cluster::Cluster,
    event::Event,
    servers::Servers,
    window::Stored,
    workers::Load,
};

pub(crate) struct Nats {
    /// Server by which the others find each other, and to which the queue group is connected.
    seed: SocketAddr,
    _seed: Server,
    answering: Clients,
    servers: Servers<Server>,
}

const POOL: &str = "nats";
/// Index of the server that no client connects to.
const SEED: u16 = 1;
/// Members of the queue group.
const MEMBERS: [&str; 2] = ["member-1", "member-2"];

impl Application for Nats {
    type Server = Server;

    const NAME: &'static str = "nats";
    const EXAMPLE: &'static str = "nats-values.yaml";
    const GUIDE: &'static str = include_str!("../page/nats.md");
    const POOL: &'static str = POOL;
    const SERVERS: (u16, u16) = (2, 3);
    const MORE: &'static [Event] = &[Event::LameDuck];

    async fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let place = cluster.place(POOL, SEED)?;
        let seed = place.address;
        let server = Server::of_cluster(place, seed).await?;
        let answering = Clients::start_within(&cluster.network(), Library::Nats)?;
        for member in MEMBERS {
            answering.connect(member, seed, json!({})).await?;
            let arguments = json!({"subject": "operations", "after": 0.02, "queue": "workers"});
            answering.call(member, "answer", arguments).await?;
        }
        Ok(Self { seed, _seed: server, answering, servers: Servers::default() })
    }

    async fn new_server(&self, cluster: &Cluster, index: u16) -> anyhow::Result<Self::Server> {
        Server::of_cluster(cluster.place(POOL, index)?, self.seed).await
    }

    fn servers(&mut self) -> &mut Servers<Self::Server> {
        &mut self.servers
    }

    fn loads(&self) -> anyhow::Result<Vec<(&'static str, Load)>> {
        Ok(vec![(POOL, Load { script: "use_nats.py", clients: 60, stores: true, pause: 0.5, options: json!({}) })])
    }

    async fn stored(&mut self, _: &Cluster) -> anyhow::Result<Option<Stored>> {
        let mut all = Stored::new();
        for member in MEMBERS {
            let state = self.answering.call(member, "state", json!({})).await?;
            for (number, times) in count_list(&state["received"])? {
                *all.entry(number).or_default() += times;
            }
        }
        Ok(Some(all))
    }

    /// Stops a server by its lame duck mode, as a `preStop` hook does, and starts another one.
    async fn happen(
        &mut self,
        cluster: &Cluster,
        event: Event,
        servers: &mut Vec<u16>,
        next: u16,
    ) -> anyhow::Result<()> {
        ensure!(event == Event::LameDuck, "{} knows no {}", Self::NAME, event.name());
        let old = servers.remove(0);
        cluster.delete_pod(old).await?;
        cluster.wait_until_in_force(POOL, servers).await?;
        self.servers.remove(old)?.lame_duck().await?;
        cluster.remove_pod(old).await?;
        self.start_server(cluster, next).await?;
        cluster.add_pod(POOL, next).await?;
        servers.push(next);
        Ok(())
    }
}
