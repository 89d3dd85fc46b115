//! Everything that ilb has around it in a cluster, for one test.

use std::{collections::HashSet, io::PipeWriter, net::SocketAddr, ops::Range};

use anyhow::Context;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;

use crate::{Admin, ApiServer, Backend, Behaviour, Connection, Group, Ilb, Net, Pods, Readiness, Traefik};

/// The port of every backend.
pub const BACKEND_PORT: u16 = 4444;

/// Pods on a real API server, a backend at the address of each, a real Traefik, and ilb.
#[derive(Debug)]
pub struct World {
    /// Pods, named `pod-0` and so on.
    pub pods: Pods,
    /// Backends, in the order in which they were added.
    pub backends: Vec<Backend>,
    /// Data plane.
    pub traefik: Traefik,
    /// Product under test.
    pub ilb: Ilb,
    /// HTTP interface of the product.
    pub admin: Admin,
    /// Control plane.
    pub api_server: ApiServer,
    group: Group,
}

/// The setting for ilb that makes it balance by round robin.
pub const ROUND_ROBIN: (&str, &str) = ("LB_METHOD", "roundrobin");

impl World {
    /// Starts a world with `backends` ready pods, and waits until ilb has proved that all of them are in force.
    ///
    /// Its API server is [shared](ApiServer::shared) with other tests.
    pub async fn start(backends: u16) -> anyhow::Result<Self> {
        Self::with(backends, &[]).await
    }

    /// Starts a world in which ilb balances by round robin: it pushes nothing for load, and new connections reach the
    /// backends in turn.
    pub async fn round_robin(backends: u16) -> anyhow::Result<Self> {
        Self::with(backends, &[ROUND_ROBIN]).await
    }

    /// Starts a world with more settings for ilb.
    pub async fn with(backends: u16, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::on(ApiServer::shared().await?, backends, settings).await
    }

    /// Starts a world on this API server. A test that breaks the API server takes one of its own.
    pub async fn on(api_server: ApiServer, backends: u16, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let group = Net::for_this_process()?.group();
        Self::at(group, api_server, backends, settings).await
    }

    /// Starts a world whose backends have addresses in 10.9.0.0/16, in a network namespace of the test's own to which this
    /// network [leads](crate::host_network).
    pub async fn on_other_hosts(
        api_server: ApiServer,
        backends: u16,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        Self::at(Group::OF_OTHER_HOSTS, api_server, backends, settings).await
    }

    async fn at(group: Group, api_server: ApiServer, backends: u16, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let traefik = Traefik::start().await?;
        let pods = api_server.new_namespace("backends").await?;
        let mut world = Self { group, ..Self::from_parts(api_server, pods, traefik, settings)? };
        world.add_pods(0..backends, Readiness::Ready).await?;
        world.ilb.wait_for_log("Updated").await?;
        world.wait_until_in_force(backends.into()).await?;
        world.wait_until_proved(backends.into()).await?;
        Ok(world)
    }

    /// Starts ilb between these parts, whether they run or not, and waits for nothing.
    pub fn from_parts(
        api_server: ApiServer,
        pods: Pods,
        traefik: Traefik,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        Self::build(api_server, pods, traefik, settings, Ilb::start)
    }

    /// Starts a world without backends, in which the log of ilb goes into a pipe, and waits for nothing.
    pub async fn logging_into(output: PipeWriter, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        let (api_server, traefik) = (ApiServer::shared().await?, Traefik::start().await?);
        let pods = api_server.new_namespace("backends").await?;
        Self::build(api_server, pods, traefik, settings, |variables| Ilb::start_into(output, variables))
    }

    fn build(
        api_server: ApiServer,
        pods: Pods,
        traefik: Traefik,
        settings: &[(&str, &str)],
        start: impl FnOnce(&[(&str, &str)]) -> anyhow::Result<Ilb>,
    ) -> anyhow::Result<Self> {
        let kubeconfig = api_server.kubeconfig().display().to_string();
        let (rest_url, port) = (traefik.rest_url(), BACKEND_PORT.to_string());
        let net = Net::for_this_process()?;
        let admin = Admin::new((net.host()?, 8081).into())?;
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
        let ilb = start(&variables)?;
        Ok(Self { backends: Vec::new(), ilb, admin, group: net.group(), pods, traefik, api_server })
    }

    /// Gives the backends addresses that are none of loopback. Before the first one, and only in a network namespace of one's own
    /// ([`host_network`](crate::host_network)).
    #[must_use]
    pub fn beyond_loopback(self) -> Self {
        Self { group: self.group.beyond_loopback(), ..self }
    }

    /// Starts many backends and creates a pod for each, several at a time.
    pub async fn add_pods(&mut self, indices: Range<u16>, readiness: Readiness) -> anyhow::Result<()> {
        for index in indices.clone() {
            self.add_backend(index, Behaviour::Echo).await?;
        }
        let create = async |index| {
            self.pods.create(&Self::pod(index)).await?;
            self.set_pod(index, readiness).await
        };
        stream::iter(indices).map(create).buffer_unordered(16).try_collect().await
    }

    /// Starts backend `index` and creates a ready pod at its address.
    pub async fn add_pod(&mut self, index: u16) -> anyhow::Result<()> {
        self.add_backend(index, Behaviour::Echo).await?;
        self.pods.create_ready(&Self::pod(index), self.address(index).ip()).await
    }

    /// Starts backend `index`, without a pod.
    pub async fn add_backend(&mut self, index: u16, behaviour: Behaviour) -> anyhow::Result<()> {
        self.backends.push(Backend::start(self.address(index), behaviour).await?);
        Ok(())
    }

    /// Writes the status of pod `index`: running at the address of backend `index`.
    pub async fn set_pod(&self, index: u16, readiness: Readiness) -> anyhow::Result<()> {
        self.pods.set_status(&Self::pod(index), self.address(index).ip(), readiness).await
    }

    /// Returns the name of pod `index`.
    pub fn pod(index: u16) -> String {
        format!("pod-{index}")
    }

    /// Returns the address of backend `index`.
    pub fn address(&self, index: u16) -> SocketAddr {
        self.group.address(index, BACKEND_PORT)
    }

    /// Opens connections until there is one to each of `backends` backends, and returns these.
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

    /// Opens and closes `count` connections. Returns the backends that they reached.
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

    /// Waits until ilb has read that back, which is a moment later.
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
