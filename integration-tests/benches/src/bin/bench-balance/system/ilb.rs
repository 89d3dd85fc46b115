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
use ilb_testbed::{Admin, BareTraefik, Ilb, Net, Pods, Process, Signal, Traefik, eventually};
use tempfile::TempDir;

use super::siblings::Siblings;

/// A replica of ilb with its Traefik.
pub(crate) struct IlbAndTraefik {
    pub(crate) ilb: Ilb,
    pub(crate) admin: Admin,
    pub(crate) traefik: Proxy,
    pub(super) members: Members,
}

/// The Traefik of a replica.
pub(crate) enum Proxy {
    /// A Traefik as the chart installs it, before backends of its own.
    Chart(Arc<Traefik>),
    /// A Traefik that has a user of its own, by whom its connections are told from those of other replicas to the same backends.
    OfUser(Box<BareTraefik>),
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
        Ok(Self { ilb, admin, traefik: Proxy::Chart(Arc::new(traefik)), members })
    }

    /// Returns the port of a replica that is to be [started](Self::start_beside_others).
    pub(crate) fn free_port() -> u16 {
        static STARTED: AtomicU16 = AtomicU16::new(0);
        FIRST_ADMIN_PORT + STARTED.fetch_add(1, Ordering::Relaxed)
    }

    /// Starts a replica before backends that others have, too, and waits until it is ready. It hears those that `siblings`
    /// list for it, which the caller does before.
    pub(crate) async fn start_beside_others(
        port: u16,
        backends: &[SocketAddr],
        siblings: Option<&Siblings>,
    ) -> anyhow::Result<Self> {
        let number = port - FIRST_ADMIN_PORT;
        let traefik = BareTraefik::builder()
            .of_user(21_000 + u32::from(number), FIRST_API_PORT + number)
            .drain(DRAIN_TIME)
            .start()
            .await?;
        let admin = Admin::new((Net::for_this_process()?.host()?, port).into())?;
        let folder = tempfile::Builder::new().prefix("bench-backends-").tempdir()?;
        let file = write_backends(&folder, backends, &vec![1; backends.len()])?;
        // Siblings may have several addresses, of which each leads here.
        let (url, admin_address) = (traefik.url(), format!("0.0.0.0:{port}"));
        let mut variables = vec![
            ("ILB_ADMIN_ADDRESS", admin_address.as_str()),
            ("TRAEFIK_API_URL", url.as_str()),
            ("ILB_ALLOW_LOOPBACK_BACKENDS", "true"),
            ("ILB_BACKENDS_FILE", &file),
        ];
        let setting = siblings.map(|siblings| siblings.setting(port));
        if let (Some(siblings), Some(setting)) = (siblings, &setting) {
            variables.extend([("KUBECONFIG", siblings.kubeconfig()), ("ILB_SIBLINGS", setting)]);
        }
        let ilb = Ilb::start(&variables)?;
        admin.wait_until_ok("/readyz").await?;
        Ok(Self { ilb, admin, traefik: Proxy::OfUser(Box::new(traefik)), members: Members::File(folder) })
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

    /// Returns the port at which the siblings ask.
    pub(crate) fn port(&self) -> u16 {
        self.admin.address().port()
    }
}

/// Ports of the APIs of Traefiks that have users of their own, and those of their ilbs: by its port, an ilb finds its Traefik.
const FIRST_API_PORT: u16 = 18_000;
const FIRST_ADMIN_PORT: u16 = 19_000;

impl Proxy {
    /// Returns the address that clients connect to.
    pub(crate) fn entry_point(&self) -> SocketAddr {
        match self {
            Self::Chart(traefik) => traefik.entry_point(),
            Self::OfUser(traefik) => traefik.entry_point(),
        }
    }

    pub(super) fn process(&self) -> anyhow::Result<&Process> {
        match self {
            Self::Chart(traefik) => traefik.process(),
            Self::OfUser(traefik) => traefik.process(),
        }
    }

    /// Returns how many times the configuration was replaced.
    pub(super) async fn reloads(&self) -> anyhow::Result<f64> {
        match self {
            Self::Chart(traefik) => traefik.metric("traefik_config_reloads_total").await,
            Self::OfUser(traefik) => traefik.metric("traefik_config_reloads_total").await,
        }
    }

    /// Changes the configuration as another writer.
    pub(super) fn reload(&self) -> anyhow::Result<()> {
        match self {
            Self::Chart(traefik) => traefik.rewrite_bootstrap(),
            Self::OfUser(_) => anyhow::bail!("this Traefik has no other writer"),
        }
    }

    /// Makes Traefik drain: it takes no new connections, and keeps those that it has.
    pub(super) fn drain(&self) -> anyhow::Result<()> {
        match self {
            Self::Chart(traefik) => traefik.process()?.signal(Signal::TERM),
            Self::OfUser(traefik) => traefik.signal(Signal::TERM),
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
