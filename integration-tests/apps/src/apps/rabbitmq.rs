//! RabbitMQ: a cluster with a quorum queue, whose publishers wait for confirmations and whose consumers acknowledge.

use std::fs;

use anyhow::Context;
use ilb_testbed::apps::{PortMapper, RabbitMq as Node};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    application::{Application, count},
    cluster::Cluster,
    event::Event,
    servers::Servers,
    window::Stored,
    workers::Load,
};

pub(crate) struct RabbitMq {
    servers: Servers<Node>,
    /// Folder in which all consumers write what they have received.
    folder: TempDir,
    _port_mapper: PortMapper,
}

const POOL: &str = "amqp";
const QUEUE: &str = "operations";

impl Application for RabbitMq {
    type Server = Node;

    const NAME: &'static str = "rabbitmq";
    const EXAMPLE: &'static str = "rabbitmq-values.yaml";
    const GUIDE: &'static str = include_str!("../page/rabbitmq.md");
    const POOL: &'static str = POOL;
    const SERVERS: (u16, u16) = (3, 4);
    const MORE: &'static [Event] = &[];

    async fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let port_mapper = PortMapper::start(&cluster.network())?;
        let folder = tempfile::Builder::new().prefix("ilb-apps-consumed-").tempdir()?;
        Ok(Self { servers: Servers::default(), folder, _port_mapper: port_mapper })
    }

    async fn new_server(&self, cluster: &Cluster, index: u16) -> anyhow::Result<Self::Server> {
        let place = cluster.place(POOL, index)?;
        let Some((_, other)) = self.servers.except(&[]).next() else {
            let first = Node::start(place).await?;
            first.declare(QUEUE).await?;
            return Ok(first);
        };
        let node = Node::joining(place, other.address()).await?;
        other.add_member(QUEUE, node.address().ip()).await?;
        Ok(node)
    }

    fn servers(&mut self) -> &mut Servers<Self::Server> {
        &mut self.servers
    }

    async fn left(&mut self, cluster: &Cluster, index: u16) -> anyhow::Result<()> {
        // Otherwise it would count for the majority.
        let (_, other) = self.servers.except(&[index]).next().context("no server is left")?;
        other.forget(cluster.address(POOL, index)?.ip()).await
    }

    fn loads(&self) -> anyhow::Result<Vec<(&'static str, Load)>> {
        let load = |does: &str, clients, pause| Load {
            script: "use_pika.py",
            clients,
            stores: does == "publish",
            pause,
            options: json!({"does": does, "queue": QUEUE, "folder": self.folder.path()}),
        };
        Ok(vec![(POOL, load("consume", 12, 0.0)), (POOL, load("publish", 48, 0.6))])
    }

    async fn stored(&mut self, _: &Cluster) -> anyhow::Result<Option<Stored>> {
        let mut consumed = String::new();
        for entry in fs::read_dir(self.folder.path())? {
            consumed += &fs::read_to_string(entry?.path())?;
        }
        // The last line may not be complete yet.
        let complete = consumed.rfind('\n').map_or(0, |end| end + 1);
        Ok(Some(count(consumed[..complete].lines())?))
    }
}
