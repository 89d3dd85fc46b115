//! Replicas of ilb, each with its Traefik.

use std::{
    fs,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use anyhow::{Context, ensure};
use ilb_testbed::{Admin, BareTraefik, Ilb, Neighbour, Net, Pods, Process, Signal, Traefik, eventually};
use tempfile::TempDir;

use super::siblings::{ADMIN_PORT, Siblings};

/// A replica of ilb with its Traefik.
pub(crate) struct IlbAndTraefik {
    pub(crate) ilb: Ilb,
    pub(crate) admin: Admin,
    pub(crate) traefik: Proxy,
    pub(super) members: Members,
    /// Network namespace of a replica that is in one of its own.
    pod: Option<Neighbour>,
}

/// The Traefik of a replica.
pub(crate) enum Proxy {
    /// A Traefik as the chart installs it, before backends of its own.
    Chart(Arc<Traefik>),
    /// A Traefik in a network namespace of its own, before backends that others have, too.
    InPod(Box<BareTraefik>),
}

/// The source from which ilb discovers its backends.
pub(super) enum Members {
    Pods {
        pods: Box<Pods>,
        kubeconfig: String,
    },
    /// A file, which can have capacities.
    File(TempDir),
}

/// The way in which a replica of ilb balances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    LeastConnections,
    RoundRobin,
}

/// Time that the Traefik of a replica has to drain: more than any scenario takes.
const DRAIN_TIME: &str = "600s";

impl IlbAndTraefik {
    /// Starts a replica before backends of its own.
    pub(super) async fn start(
        method: Method,
        members: Members,
        port: u16,
        backends: &[SocketAddr],
        capacities: &[u8],
    ) -> anyhow::Result<Self> {
        let traefik = Traefik::start_watching().await?;
        let admin = Admin::new((Net::for_this_process()?.host()?, 8081).into())?;
        let (url, admin_address, port) = (traefik.rest_url(), admin.address().to_string(), port.to_string());
        let file;
        let mut variables = vec![
            ("ILB_ADMIN_ADDRESS", admin_address.as_str()),
            ("TRAEFIK_API_URL", url.as_str()),
            ("LB_METHOD", if method == Method::LeastConnections { "leastconn" } else { "roundrobin" }),
            ("ILB_ALLOW_LOOPBACK_BACKENDS", "true"),
        ];
        match &members {
            Members::Pods { pods, kubeconfig } => variables.extend([
                ("KUBECONFIG", kubeconfig.as_str()),
                ("POD_LABELS", Pods::SELECTOR),
                ("POD_NAMESPACE", pods.namespace()),
                ("BACKEND_PORT", &port),
            ]),
            Members::File(folder) => {
                file = write_backends(folder, backends, capacities)?;
                variables.push(("ILB_BACKENDS_FILE", &file));
            }
        }
        let ilb = Ilb::start(&variables)?;
        Ok(Self { ilb, admin, traefik: Proxy::Chart(Arc::new(traefik)), members, pod: None })
    }

    /// Returns the number of a replica that is to be [started](Self::start_beside_others).
    pub(crate) fn free_number() -> u16 {
        static STARTED: AtomicU16 = AtomicU16::new(1);
        STARTED.fetch_add(1, Ordering::Relaxed)
    }

    /// Starts a replica before backends that others have, too, in a network namespace of its own as that of a pod, and waits
    /// until it is ready. It hears those that `siblings` list for it, which the caller does before.
    pub(crate) async fn start_beside_others(
        number: u16,
        backends: &[SocketAddr],
        siblings: Option<&Siblings>,
    ) -> anyhow::Result<Self> {
        let pod = Neighbour::numbered_pod(number)?;
        let (network, address) = (pod.network(), pod.address());
        let traefik = BareTraefik::builder().at(address).within(network.clone()).drain(DRAIN_TIME).start().await?;
        let admin = Admin::new((address, ADMIN_PORT).into())?;
        let folder = tempfile::Builder::new().prefix("bench-backends-").tempdir()?;
        let file = write_backends(&folder, backends, &vec![1; backends.len()])?;
        let (url, admin_address) = (traefik.url(), admin.address().to_string());
        let mut variables = vec![
            ("ILB_ADMIN_ADDRESS", admin_address.as_str()),
            ("TRAEFIK_API_URL", url.as_str()),
            ("ILB_BACKENDS_FILE", &file),
        ];
        let setting = siblings.map(|siblings| siblings.setting(number));
        if let (Some(siblings), Some(setting)) = (siblings, &setting) {
            variables.extend([("KUBECONFIG", siblings.kubeconfig()), ("ILB_SIBLINGS", setting)]);
        }
        let ilb = Ilb::start_within(&network, &variables)?;
        admin.wait_until_ok("/readyz").await?;
        let (traefik, members) = (Proxy::InPod(Box::new(traefik)), Members::File(folder));
        Ok(Self { ilb, admin, traefik, members, pod: Some(pod) })
    }

    /// Waits until this many siblings are heard.
    pub(crate) async fn wait_until_hearing(&self, siblings: usize) -> anyhow::Result<()> {
        eventually("the siblings are heard", async || {
            let status = self.admin.status().await?;
            let heard = status["siblings"]["heard"].as_u64().context("there is no exchange")?;
            ensure!(heard == siblings as u64, "{heard} of {siblings}");
            Ok(())
        })
        .await
    }

    /// Loses all packets between this replica and another one.
    pub(super) fn cut_off(&self, other: &Self) -> anyhow::Result<()> {
        let pods = self.pod.as_ref().zip(other.pod.as_ref());
        let (own, other) = pods.context("replicas in the same network namespace cannot be cut off from each other")?;
        own.cut_off(other)
    }

    /// Returns the number of a replica that was [started beside others](Self::start_beside_others).
    pub(crate) fn number(&self) -> Option<u16> {
        self.pod.as_ref().map(Neighbour::number)
    }
}

impl Proxy {
    /// Returns the address that clients connect to.
    pub(crate) fn entry_point(&self) -> SocketAddr {
        match self {
            Self::Chart(traefik) => traefik.entry_point(),
            Self::InPod(traefik) => traefik.entry_point(),
        }
    }

    pub(super) fn process(&self) -> anyhow::Result<&Process> {
        match self {
            Self::Chart(traefik) => traefik.process(),
            Self::InPod(traefik) => traefik.process(),
        }
    }

    /// Returns how many times the configuration was replaced.
    pub(super) async fn reloads(&self) -> anyhow::Result<f64> {
        match self {
            Self::Chart(traefik) => traefik.metric("traefik_config_reloads_total").await,
            Self::InPod(traefik) => traefik.metric("traefik_config_reloads_total").await,
        }
    }

    /// Changes the configuration as another writer.
    pub(super) fn reload(&self) -> anyhow::Result<()> {
        match self {
            Self::Chart(traefik) => traefik.rewrite_bootstrap(),
            Self::InPod(_) => anyhow::bail!("this Traefik has no other writer"),
        }
    }

    /// Makes Traefik drain: it takes no new connections, and keeps those that it has.
    pub(super) fn drain(&self) -> anyhow::Result<()> {
        match self {
            Self::Chart(traefik) => traefik.process()?.signal(Signal::TERM),
            Self::InPod(traefik) => traefik.signal(Signal::TERM),
        }
    }
}

/// Writes the backends into a file of the folder, and returns its path.
fn write_backends(folder: &TempDir, backends: &[SocketAddr], capacities: &[u8]) -> anyhow::Result<String> {
    let path = folder.path().join("backends.yaml");
    let line =
        |(backend, capacity): (&SocketAddr, &u8)| format!("- {{ address: '{backend}', capacity: {capacity} }}\n");
    fs::write(&path, backends.iter().zip(capacities).map(line).collect::<String>())?;
    Ok(path.display().to_string())
}
