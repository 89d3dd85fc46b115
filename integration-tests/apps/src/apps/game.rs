//! A game server over WebSocket, which keeps each player's position in memory.

use std::collections::BTreeMap;

use anyhow::Context;
use ilb_testbed::apps::Program;
use serde_json::json;

use crate::{application::Application, cluster::Cluster, event::Event, window::Stored, workers::Load};

#[derive(Default)]
pub(crate) struct Game {
    servers: BTreeMap<u16, Program>,
}

const POOL: &str = "game";

impl Application for Game {
    const NAME: &'static str = "websocket";
    const EXAMPLE: &'static str = "game-values.yaml";
    const POOL: &'static str = POOL;
    const SERVERS: (u16, u16) = (2, 3);
    const MORE: &'static [Event] = &[];

    async fn start(_: &Cluster) -> anyhow::Result<Self> {
        Ok(Self::default())
    }

    async fn start_server(&mut self, cluster: &Cluster, index: u16) -> anyhow::Result<()> {
        self.servers.insert(index, Program::game(cluster.place(POOL, index)?).await?);
        Ok(())
    }

    async fn stop_server(&mut self, index: u16) -> anyhow::Result<()> {
        self.servers.remove(&index).context("no such server")?.stop().await
    }

    fn kill_server(&mut self, index: u16) -> anyhow::Result<()> {
        self.servers.remove(&index).context("no such server")?.kill()
    }

    fn loads(&self) -> Vec<(&'static str, Load)> {
        vec![(
            POOL,
            Load {
                script: "use_websockets.py",
                clients: 60,
                stays: true,
                stores: false,
                pause: 0.3,
                options: json!({}),
            },
        )]
    }

    async fn stored(&mut self, _: &Cluster) -> anyhow::Result<Option<Stored>> {
        Ok(None)
    }
}
