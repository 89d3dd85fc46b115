//! MQTT: mosquitto at the edge, each of which passes on what devices publish to a hub, where an application receives it.

use std::collections::BTreeMap;

use anyhow::Context;
use ilb_testbed::apps::{Clients, Library, Mosquitto};
use serde_json::json;

use crate::{
    application::{Application, count_list},
    cluster::Cluster,
    event::Event,
    window::Stored,
    workers::Load,
};

pub(crate) struct Mqtt {
    hub: Mosquitto,
    receiver: Clients,
    servers: BTreeMap<u16, Mosquitto>,
}

const POOL: &str = "mqtt";
/// Index of the hub, to which no device connects.
const HUB: u16 = 1;
/// Session of the application that receives at the hub.
const RECEIVER: &str = "receiver";

impl Application for Mqtt {
    const NAME: &'static str = "mqtt";
    const EXAMPLE: &'static str = "broker-closing-values.yaml";
    const POOL: &'static str = POOL;
    const SERVERS: (u16, u16) = (2, 3);
    const MORE: &'static [Event] = &[];

    async fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let hub = Mosquitto::start(cluster.place(POOL, HUB)?).await?;
        let receiver = Clients::start_within(&cluster.network(), Library::Paho)?;
        receiver.connect(RECEIVER, hub.address(), json!({"name": RECEIVER, "persistent": true})).await?;
        receiver.call(RECEIVER, "subscribe", json!({"topic": "operations/#"})).await?;
        Ok(Self { hub, receiver, servers: BTreeMap::new() })
    }

    async fn start_server(&mut self, cluster: &Cluster, index: u16) -> anyhow::Result<()> {
        let server = Mosquitto::with_hub(cluster.place(POOL, index)?, self.hub.address()).await?;
        self.servers.insert(index, server);
        Ok(())
    }

    async fn stop_server(&mut self, index: u16) -> anyhow::Result<()> {
        self.servers.remove(&index).context("no such server")?.stop().await
    }

    fn kill_server(&mut self, index: u16) -> anyhow::Result<()> {
        self.servers.remove(&index).context("no such server")?.kill()
    }

    fn loads(&self) -> Vec<(&'static str, Load)> {
        let load =
            Load { script: "use_paho.py", clients: 200, stays: true, stores: true, pause: 1.5, options: json!({}) };
        vec![(POOL, load)]
    }

    async fn stored(&mut self, _: &Cluster) -> anyhow::Result<Option<Stored>> {
        let state = self.receiver.call(RECEIVER, "state", json!({})).await?;
        Ok(Some(count_list(&state["received"])?))
    }
}
