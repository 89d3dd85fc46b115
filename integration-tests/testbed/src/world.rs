use std::{
    collections::HashSet,
    net::SocketAddr,
    ops::Range,
    sync::atomic::{AtomicU8, Ordering},
};

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use crate::{Admin, ApiServer, Backend, Behaviour, Connection, Ilb, Net, Pods, Traefik};

/// The port of every backend.
pub const BACKEND_PORT: u16 = 4444;

/// A whole world for one test: pods on a real API server, a backend at the address of each, a real Traefik, and ilb.
pub struct World {
    /// The pods, `pod-0` and so on.
    pub pods: Pods,
    /// One backend for each pod that was asked for at the start.
    pub backends: Vec<Backend>,
    /// The data plane.
    pub traefik: Traefik,
    /// The product.
    pub ilb: Ilb,
    /// What the product shows.
    pub admin: Admin,
    /// The control plane.
    pub api_server: ApiServer,
    net: &'static Net,
    group: u8,
}

impl World {
    /// A world with `backends` ready pods, all of which are in force, which ilb has proved.
    pub async fn start(backends: u16) -> anyhow::Result<Self> {
        Self::with(backends, &[]).await
    }

    /// The same, balancing by round robin: nothing is pushed for load, and new connections go round in a circle.
    pub async fn round_robin(backends: u16) -> anyhow::Result<Self> {
        Self::with(backends, &[("LB_METHOD", "roundrobin")]).await
    }

    /// The same, with more settings for ilb.
    pub async fn with(backends: u16, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let (api_server, traefik) = (ApiServer::start().await?, Traefik::start().await?);
        let pods = api_server.namespace("backends").await?;
        let mut world = Self::of(api_server, pods, traefik, settings)?;
        world.add_pods(0..backends, true).await?;
        world.ilb.wait_for_log("Updated").await?;
        world.wait_until_in_force(backends.into()).await?;
        world.wait_until_proved(backends.into()).await?;
        Ok(world)
    }

    /// A world of these parts, running or not, in which ilb has just been started.
    pub fn of(api_server: ApiServer, pods: Pods, traefik: Traefik, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        static GROUPS: AtomicU8 = AtomicU8::new(0);
        let kubeconfig = api_server.kubeconfig().display().to_string();
        let (rest_url, port) = (traefik.rest_url(), BACKEND_PORT.to_string());
        let net = Net::of_this_process()?;
        let admin = Admin::at((net.host()?, 8081).into())?;
        let admin_address = admin.address().to_string();
        let mut variables = vec![
            ("KUBECONFIG", kubeconfig.as_str()),
            ("POD_LABELS", Pods::SELECTOR),
            ("POD_NAMESPACE", pods.namespace()),
            ("TRAEFIK_API_URL", &rest_url),
            ("BACKEND_PORT", &port),
            ("ILB_ALLOW_LOOPBACK_BACKENDS", "true"),
            ("ILB_ADMIN_ADDRESS", &admin_address),
        ];
        variables.extend_from_slice(settings);
        Ok(Self {
            backends: Vec::new(),
            ilb: Ilb::start(&variables)?,
            admin,
            net,
            group: GROUPS.fetch_add(1, Ordering::Relaxed),
            pods,
            traefik,
            api_server,
        })
    }

    /// Starts many backends and makes a pod for each, ready or not, several at a time.
    pub async fn add_pods(&mut self, indices: Range<u16>, ready: bool) -> anyhow::Result<()> {
        for index in indices.clone() {
            self.add_backend(index, Behaviour::Echo).await?;
        }
        let create = async |index| {
            self.pods.create(&Self::pod(index)).await?;
            self.pods.set_status(&Self::pod(index), self.address(index).ip(), ready).await
        };
        stream::iter(indices).map(create).buffer_unordered(16).try_collect().await
    }

    /// Starts backend `index` and makes `pod-index` ready at its address.
    pub async fn add_pod(&mut self, index: u16) -> anyhow::Result<()> {
        self.add_backend(index, Behaviour::Echo).await?;
        self.pods.create_ready(&Self::pod(index), self.address(index).ip()).await
    }

    /// Starts backend `index`, without a pod.
    pub async fn add_backend(&mut self, index: u16, behaviour: Behaviour) -> anyhow::Result<()> {
        self.backends.push(Backend::start(self.address(index), behaviour).await?);
        Ok(())
    }

    /// The name of pod `index`.
    pub fn pod(index: u16) -> String {
        format!("pod-{index}")
    }

    /// The address of backend `index`.
    pub fn address(&self, index: u16) -> SocketAddr {
        self.net.backend(self.group, index, BACKEND_PORT)
    }

    /// One connection to each of the first `backends` backends.
    pub async fn connect_to_each(&self, backends: usize) -> anyhow::Result<Vec<Connection>> {
        let mut connections: Vec<Connection> = Vec::new();
        while connections.len() < backends {
            let new = self.traefik.connect().await?;
            if connections.iter().all(|c| c.backend() != new.backend()) {
                connections.push(new);
            }
        }
        Ok(connections)
    }

    /// The backends that `count` new connections land on.
    pub async fn landed_on(&self, count: usize) -> anyhow::Result<HashSet<SocketAddr>> {
        let mut backends = HashSet::new();
        for _ in 0..count {
            backends.insert(self.traefik.connect().await?.backend());
        }
        Ok(backends)
    }

    /// Waits until Traefik balances over `backends` backends.
    pub async fn wait_until_in_force(&self, backends: usize) -> anyhow::Result<()> {
        crate::eventually("the configuration is in force", async || {
            let service = self.traefik.api("tcp/services/default@rest").await?;
            let children = service["weighted"]["services"].as_array().map_or(0, Vec::len);
            anyhow::ensure!(children == backends, "Traefik has {children} backends, not {backends}: {service}");
            Ok(())
        })
        .await
    }

    /// Waits until ilb knows it, too, which is a moment later.
    async fn wait_until_proved(&self, backends: usize) -> anyhow::Result<()> {
        crate::eventually("ilb has proved the configuration", async || {
            let status = self.admin.status().await?;
            let known = status["pools"][0]["backends"].as_array().context("no backends in the status")?;
            let proved = known.iter().filter(|backend| backend["weights"] != json!([])).count();
            anyhow::ensure!(proved == backends, "{proved} of {backends} backends are proved to be in force");
            Ok(())
        })
        .await
    }
}
