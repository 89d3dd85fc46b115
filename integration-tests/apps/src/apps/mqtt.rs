//! MQTT: mosquitto at the edge, each of which passes on what devices publish to a hub, where an application receives it.

use std::collections::BTreeMap;

use ilb_testbed::apps::{Clients, Library, Mosquitto};
use serde_json::json;

use crate::{
    application::{Application, count_list},
    cluster::Cluster,
    event::Event,
    servers::Servers,
    window::{Stored, WILLS},
    workers::Load,
};

pub(crate) struct Mqtt {
    hub: Mosquitto,
    receiver: Clients,
    servers: Servers<Mosquitto>,
}

const POOL: &str = "mqtt";
/// Index of the hub, to which no device connects.
const HUB: u16 = 1;
/// Session of the application that receives at the hub.
const RECEIVER: &str = "receiver";
/// Session of what receives the wills of devices at the hub.
const WITNESS: &str = "witness";
/// Devices, and processes among which they are divided: 250 in one keep up with two threads each.
const DEVICES: usize = 1000;
const PROCESSES: usize = 4;

impl Application for Mqtt {
    type Server = Mosquitto;

    const NAME: &'static str = "mqtt";
    const EXAMPLE: &'static str = "broker-closing-values.yaml";
    const GUIDE: &'static str = include_str!("../page/mqtt.md");
    const POOL: &'static str = POOL;
    const SERVERS: (u16, u16) = (2, 3);
    const MORE: &'static [Event] = &[];

    async fn start(cluster: &Cluster) -> anyhow::Result<Self> {
        let hub = Mosquitto::start(cluster.place(POOL, HUB)?).await?;
        let receiver = Clients::start_within(&cluster.network(), Library::Paho)?;
        receiver.connect(RECEIVER, hub.address(), json!({"name": RECEIVER, "persistent": true})).await?;
        receiver.call(RECEIVER, "subscribe", json!({"topic": "operations/#"})).await?;
        receiver.connect(WITNESS, hub.address(), json!({"name": WITNESS, "persistent": true})).await?;
        receiver.call(WITNESS, "subscribe", json!({"topic": "wills/#"})).await?;
        Ok(Self { hub, receiver, servers: Servers::default() })
    }

    async fn new_server(&self, cluster: &Cluster, index: u16) -> anyhow::Result<Self::Server> {
        Mosquitto::with_hub(cluster.place(POOL, index)?, self.hub.address()).await
    }

    fn servers(&mut self) -> &mut Servers<Self::Server> {
        &mut self.servers
    }

    fn loads(&self) -> anyhow::Result<Vec<(&'static str, Load)>> {
        let load = |process| Load {
            script: "use_paho.py",
            clients: DEVICES / PROCESSES,
            stores: true,
            pause: 5.0,
            options: json!({"first": process * DEVICES / PROCESSES}),
        };
        Ok((0..PROCESSES).map(|process| (POOL, load(process))).collect())
    }

    async fn counted(&self) -> anyhow::Result<BTreeMap<String, usize>> {
        let state = self.receiver.call(WITNESS, "state", json!({})).await?;
        let wills = state["received"].as_array().map_or(0, Vec::len);
        Ok(BTreeMap::from([(WILLS.to_owned(), wills)]))
    }

    async fn stored(&mut self, _: &Cluster) -> anyhow::Result<Option<Stored>> {
        let state = self.receiver.call(RECEIVER, "state", json!({})).await?;
        Ok(Some(count_list(&state["received"])?))
    }
}
