//! An API server, a Traefik, an ilb and a closer, in a network namespace of its own, with pods for real servers.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr},
};

use anyhow::{Context, ensure};
use ilb_testbed::{
    Admin, ApiServer, CloserProcess, Ilb, KernelSocket, Neighbour, Net, Network, Pods, Privileges, Readiness, Traefik,
    apps::Place, eventually, eventually_within,
};
use tempfile::TempDir;

use crate::{example::Example, limits};

/// Surroundings of an application.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) api_server: ApiServer,
    pub(crate) traefik: Traefik,
    pub(crate) ilb: Ilb,
    pub(crate) pods: Pods,
    admin: Admin,
    _closer: CloserProcess,
    example: Example,
    folder: TempDir,
    /// Network namespace in which the servers run, so that what they send each other is not taken for Traefik's.
    hosts: Neighbour,
}

/// Network of the pods.
const NETWORK: &str = "10.9.0.0/16";

impl Cluster {
    /// Starts everything, without backends and without rules for closing.
    pub(crate) async fn start(example: Example) -> anyhow::Result<Self> {
        let hosts = Neighbour::new()?;
        hosts.host_network(NETWORK)?;
        hosts.open_loopback()?;
        let api_server = ApiServer::start().await?;
        let pods = api_server.namespace("apps").await?;
        let entry_points = example.entry_points();
        let named: Vec<_> = entry_points.iter().map(|(name, port)| (name.as_str(), *port)).collect();
        let traefik = Traefik::with_entry_points(&named).await?;
        let folder = tempfile::Builder::new().prefix("ilb-apps-").tempdir()?;
        let closer = start_closer(&example).await?;
        let admin = Admin::new((Net::for_this_process()?.host()?, 8081).into())?;
        // The closer is asked what it can do only while there are rules.
        write_settings(&folder, &example, pods.namespace(), true)?;
        let (kubeconfig, address) = (api_server.kubeconfig(), admin.address().to_string());
        let (file, socket, url) = (folder.path().join("ilb.yaml"), closer.socket(), traefik.rest_url());
        let variables = [
            ("ILB_CONFIG", file.to_str().context("a path that is no text")?),
            ("ILB_CLOSER_SOCKET", socket.to_str().context("a path that is no text")?),
            ("KUBECONFIG", kubeconfig.to_str().context("a path that is no text")?),
            ("ILB_ADMIN_ADDRESS", &address),
            ("TRAEFIK_API_URL", &url),
            ("LOG_LEVEL", "debug"),
        ];
        let ilb = Ilb::start(&variables)?;
        ilb.wait_for_log("The closer can close connections").await?;
        let this = Self { api_server, traefik, ilb, pods, admin, _closer: closer, example, folder, hosts };
        this.set_closing(false).await?;
        Ok(this)
    }

    /// Switches the rules for closing of the example on or off, without a restart.
    pub(crate) async fn set_closing(&self, closing: bool) -> anyhow::Result<()> {
        write_settings(&self.folder, &self.example, self.pods.namespace(), closing)?;
        eventually("ilb follows its settings", async || {
            let status = self.admin.status().await?;
            let pools = status["pools"].as_array().context("no pools")?;
            let is_on = pools.iter().any(|pool| pool["closing"].is_object());
            ensure!(is_on == closing, "closing is {is_on}");
            Ok(())
        })
        .await
    }

    /// Returns the address of server `index` of a pool.
    pub(crate) fn address(&self, pool: &str, index: u16) -> anyhow::Result<SocketAddr> {
        let [high, low] = index.to_be_bytes();
        Ok((Ipv4Addr::new(10, 9, 8 + high, low), self.example.backend_port(pool)?).into())
    }

    /// Returns where server `index` of a pool runs.
    pub(crate) fn place(&self, pool: &str, index: u16) -> anyhow::Result<Place> {
        Ok(Place { address: self.address(pool, index)?, network: self.hosts.network() })
    }

    /// Returns the network in which the servers run, for what talks to them past Traefik.
    pub(crate) fn network(&self) -> Network {
        self.hosts.network()
    }

    /// Returns the address that clients of a pool connect to.
    pub(crate) fn entry(&self, pool: &str) -> anyhow::Result<SocketAddr> {
        let entry_points = self.example.entry_points();
        let (_, port) =
            entry_points.iter().find(|(name, _)| name == pool).with_context(|| format!("no pool {pool}"))?;
        Ok((self.traefik.entry_point().ip(), *port).into())
    }

    /// Creates the ready pod of server `index`, as a backend of a pool.
    pub(crate) async fn add_pod(&self, pool: &str, index: u16) -> anyhow::Result<()> {
        let (name, ip) = (pod(index), self.address(pool, index)?.ip());
        self.pods.create(&name).await?;
        self.set_pool(index, None, Some(pool)).await?;
        self.pods.set_status(&name, ip, Readiness::Ready).await
    }

    /// Moves the pod of server `index` from one pool to another, by its labels.
    pub(crate) async fn set_pool(&self, index: u16, from: Option<&str>, to: Option<&str>) -> anyhow::Result<()> {
        let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
        if let Some(from) = from {
            old = self.example.labels(from)?;
        }
        if let Some(to) = to {
            new = self.example.labels(to)?;
        }
        let removed = old.keys().map(|key| (key.as_str(), None));
        let added = new.iter().map(|(key, value)| (key.as_str(), Some(value.as_str())));
        self.pods.label(&pod(index), removed.chain(added).collect()).await
    }

    /// Writes that the pod of server `index` is not ready, as the kubelet does once its container has exited.
    pub(crate) async fn set_not_ready(&self, pool: &str, index: u16) -> anyhow::Result<()> {
        self.pods.set_status(&pod(index), self.address(pool, index)?.ip(), Readiness::NotReady).await
    }

    /// Deletes the pod of server `index`, which stays for its grace period of a minute.
    pub(crate) async fn delete_pod(&self, index: u16) -> anyhow::Result<()> {
        self.pods.delete_within(&pod(index), 60).await
    }

    /// Removes the pod of server `index`.
    pub(crate) async fn remove_pod(&self, index: u16) -> anyhow::Result<()> {
        self.pods.remove(&pod(index)).await
    }

    /// Waits until Traefik balances a pool over exactly these servers.
    pub(crate) async fn wait_until_in_force(&self, pool: &str, indices: &[u16]) -> anyhow::Result<()> {
        let mut expected: Vec<_> =
            indices.iter().map(|index| self.address(pool, *index)).collect::<anyhow::Result<_>>()?;
        expected.sort_unstable();
        let expected: Vec<String> =
            expected.iter().map(|address| address.to_string().replace(['.', ':'], "-")).collect();
        eventually("the configuration is in force", async || {
            let service = self.traefik.api(&format!("tcp/services/{pool}@rest")).await?;
            let children = service["weighted"]["services"].as_array().into_iter().flatten();
            let names: Vec<&str> = children.filter_map(|child| child["name"].as_str()).collect();
            let is_there = |wanted: &String| names.iter().any(|name| name.ends_with(wanted.as_str()));
            ensure!(
                names.len() == expected.len() && expected.iter().all(is_there),
                "Traefik has {names:?}, not {expected:?}"
            );
            Ok(())
        })
        .await
    }

    /// Waits until ilb is ready.
    pub(crate) async fn wait_until_ready(&self) -> anyhow::Result<()> {
        self.admin.wait_until_ok("/readyz").await
    }

    /// Counts the connections to each of these servers, as the kernel lists those of Traefik.
    pub(crate) fn connections(&self, pool: &str, indices: &[u16]) -> anyhow::Result<Vec<usize>> {
        let sockets = KernelSocket::list()?;
        let count = |index: &u16| {
            let address = self.address(pool, *index)?.to_string();
            let is_open = |socket: &&KernelSocket| socket.state == "ESTAB" && socket.remote == address;
            Ok(sockets.iter().filter(is_open).count())
        };
        indices.iter().map(count).collect()
    }

    /// Waits until a server has no connection through Traefik.
    pub(crate) async fn wait_until_empty(&self, pool: &str, index: u16) -> anyhow::Result<()> {
        eventually_within(limits::LEVEL, "a server that leaves is empty", async || {
            let left = self.connections(pool, &[index])?[0];
            ensure!(left == 0, "{left} are left; {}", self.closing_state().await);
            Ok(())
        })
        .await
    }

    /// Waits until none of these servers has more than its share of their connections and `percent` of it, or one. Returns the
    /// connections of each.
    ///
    /// Who is connected elsewhere does not count: readers of a replica stay with it when it becomes the primary.
    pub(crate) async fn wait_until_level(
        &self,
        pool: &str,
        indices: &[u16],
        percent: usize,
    ) -> anyhow::Result<Vec<usize>> {
        eventually_within(limits::LEVEL, "the servers have their shares", async || {
            let connections = self.connections(pool, indices)?;
            let share = connections.iter().sum::<usize>().div_ceil(indices.len());
            let most = (share + 1).max(share + share * percent / 100);
            ensure!(
                share > 0 && connections.iter().all(|number| *number <= most),
                "{connections:?}, not at most {most}; {}",
                self.closing_state().await
            );
            Ok(connections)
        })
        .await
    }

    /// Returns how many connections ilb has closed, and how many of them whatever was going on, since it was started.
    pub(crate) fn closings(&self) -> anyhow::Result<(usize, usize)> {
        let closings = self.ilb.logged("Closing a connection")?;
        let closed = closings.iter().filter(|line| line["result"] == "closed");
        let (mut all, mut any) = (0, 0);
        for line in closed {
            all += 1;
            any += usize::from(line["only_if"] == "any");
        }
        Ok((all, any))
    }

    /// Returns how many configurations ilb has pushed since it was started.
    pub(crate) async fn pushes(&self) -> anyhow::Result<f64> {
        let metrics = self.admin.metrics().await?;
        let series = metrics.lines().filter(|line| line.starts_with("ilb_pushes_total{"));
        let values = series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(values.sum())
    }

    async fn closing_state(&self) -> String {
        let Ok(status) = self.admin.status().await else { return "no status".to_owned() };
        let pools = status["pools"].as_array().into_iter().flatten();
        let of_pools: Vec<_> = pools.map(|pool| format!("{}: {}", pool["name"], pool["closing"]["state"])).collect();
        of_pools.join(", ")
    }
}

/// Returns the name of the pod of server `index`.
pub(crate) fn pod(index: u16) -> String {
    format!("server-{index}")
}

async fn start_closer(example: &Example) -> anyhow::Result<CloserProcess> {
    let entry_points = example.entry_points();
    let entry_ports: Vec<_> = entry_points.iter().map(|(_, port)| port.to_string()).collect();
    let ports: anyhow::Result<Vec<_>> =
        entry_points.iter().map(|(name, _)| Ok(example.backend_port(name)?.to_string())).collect();
    let (networks, ports, entry_ports) = (
        format!("--networks={NETWORK}"),
        format!("--ports={}", ports?.join(",")),
        format!("--entry-ports={}", entry_ports.join(",")),
    );
    let flags = [networks.as_str(), &ports, &entry_ports, "--max-rate=1000"];
    CloserProcess::start(Privileges::ROOT_WITH_NET_ADMIN, &flags).await
}

/// Replaces the file of the settings.
fn write_settings(folder: &TempDir, example: &Example, namespace: &str, closing: bool) -> anyhow::Result<()> {
    let (file, new) = (folder.path().join("ilb.yaml"), folder.path().join("new"));
    fs::write(&new, example.settings(namespace, closing).to_string() + "\n")?; // JSON is YAML
    Ok(fs::rename(new, file)?)
}
