//! A game server over WebSocket, which keeps each player's position in memory.

use ilb_testbed::apps::Program;
use serde_json::json;

use crate::{
    application::Application, cluster::Cluster, event::Event, servers::Servers, window::Stored, workers::Load,
};

#[derive(Default)]
pub(crate) struct Game {
    servers: Servers<Program>,
}

const POOL: &str = "game";

impl Application for Game {
    type Server = Program;

    const NAME: &'static str = "websocket";
    const EXAMPLE: &'static str = "game-values.yaml";
    const GUIDE: &'static str = include_str!("../page/websocket.md");
    const POOL: &'static str = POOL;
    const SERVERS: (u16, u16) = (2, 3);
    const MORE: &'static [Event] = &[];

    async fn start(_: &Cluster) -> anyhow::Result<Self> {
        Ok(Self::default())
    }

    async fn new_server(&self, cluster: &Cluster, index: u16) -> anyhow::Result<Self::Server> {
        Program::game(cluster.place(POOL, index)?).await
    }

    fn servers(&mut self) -> &mut Servers<Self::Server> {
        &mut self.servers
    }

    fn loads(&self) -> anyhow::Result<Vec<(&'static str, Load)>> {
        Ok(vec![(
            POOL,
            Load { script: "use_websockets.py", clients: 60, stores: false, pause: 0.3, options: json!({}) },
        )])
    }

    async fn stored(&mut self, _: &Cluster) -> anyhow::Result<Option<Stored>> {
        Ok(None)
    }
}
