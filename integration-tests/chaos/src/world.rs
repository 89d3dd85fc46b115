//! All components of a run.

mod log;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::PathBuf,
};

use anyhow::{Context, ensure};
use ilb_testbed::{Admin, BACKEND_PORT, Clock, FaultProxy, Group, Ilb, Net, Traefik};
use tempfile::TempDir;
use tokio::task::JoinSet;

pub(crate) use self::log::Log;
use crate::{
    change::{Change, PodState},
    cluster::Cluster,
    fault::ClockStep,
    servers::{Hole, Server},
    setup::{FIRST_SLOTS, POOLS, Setup, Slot},
    writer::Writer,
};

/// The components.
pub(crate) struct World {
    pub(crate) setup: Setup,
    pub(crate) cluster: Cluster,
    /// Each Traefik, and the proxy by which ilb reaches it.
    pub(crate) traefiks: Vec<(Traefik, FaultProxy)>,
    /// `None` while it is killed.
    pub(crate) ilb: Option<Ilb>,
    pub(crate) log: Log,
    pub(crate) admin: Admin,
    pub(crate) servers: BTreeMap<Slot, Server>,
    pub(crate) holes: BTreeMap<Slot, Hole>,
    /// Backends that are down by a fault.
    pub(crate) refusing: BTreeSet<Slot>,
    /// Program that keeps writing to a Traefik.
    pub(crate) writer: Option<Writer>,
    /// Tasks of a flood.
    pub(crate) intruders: JoinSet<()>,
    /// The clock that ilb reads.
    clock: Clock,
    group: Group,
    folder: TempDir,
}

/// The variables that the Dockerfile of the image sets: what is freed is given back.
const VARIABLES_OF_THE_IMAGE: [(&str, &str); 2] = [("MALLOC_ARENA_MAX", "1"), ("MALLOC_MMAP_THRESHOLD_", "65536")];

impl World {
    /// Starts everything, with the first pods of each pool.
    pub(crate) async fn start(setup: Setup) -> anyhow::Result<Self> {
        let net = Net::for_this_process()?;
        let folder = tempfile::Builder::new().prefix("ilb-chaos-").tempdir()?;
        let cluster = Cluster::start(folder.path()).await?;
        cluster.write_kubeconfig(&folder.path().join("kubeconfig"))?;
        let mut traefiks = Vec::new();
        for _ in 0..setup.traefiks() {
            let more: Vec<_> = POOLS[1..].iter().map(|pool| pool.entry_point).collect();
            let traefik = Traefik::with_entry_points(&more).await?;
            let proxy = FaultProxy::start((traefik.entry_point().ip(), 8080).into()).await?;
            traefiks.push((traefik, proxy));
        }
        let mut world = Self {
            setup,
            cluster,
            traefiks,
            ilb: None,
            log: Log::default(),
            admin: Admin::new((net.host()?, 8081).into())?,
            servers: BTreeMap::new(),
            holes: BTreeMap::new(),
            refusing: BTreeSet::new(),
            writer: None,
            intruders: JoinSet::new(),
            clock: Clock::new(folder.path())?,
            group: net.group(),
            folder,
        };
        for slot in Slot::all().filter(|slot| slot.number < FIRST_SLOTS) {
            world.change(Change { slot, to: PodState::Ready }).await?;
        }
        world.write_settings(&world.settings())?;
        world.start_ilb()?;
        Ok(world)
    }

    /// Starts ilb with its log in a new pipe.
    pub(crate) fn start_ilb(&mut self) -> anyhow::Result<()> {
        let writer = self.log.follow_new_pipe()?;
        let [settings, kubeconfig] = ["ilb.yaml", "kubeconfig"].map(|name| self.folder.path().join(name));
        let (settings, kubeconfig) = (settings.display().to_string(), kubeconfig.display().to_string());
        let address = self.admin.address().to_string();
        let mut variables =
            vec![("ILB_CONFIG", settings.as_str()), ("KUBECONFIG", &kubeconfig), ("ILB_ADMIN_ADDRESS", &address)];
        variables.extend(VARIABLES_OF_THE_IMAGE);
        let clock = self.clock.variables();
        variables.extend(clock.iter().map(|(name, value)| (*name, value.as_str())));
        self.ilb = Some(Ilb::start_into(writer, &variables)?);
        Ok(())
    }

    /// Ends ilb by SIGTERM, and waits until it has exited successfully.
    pub(crate) async fn terminate_ilb(&mut self) -> anyhow::Result<()> {
        let status = self.ilb()?.terminate().await?;
        ensure!(status.success(), "ilb was ended by SIGTERM and exited with {status}");
        self.ilb = None;
        Ok(())
    }

    /// Makes the clock of ilb wrong by an hour, or right again. The clock that only goes forward stays as it is.
    pub(crate) fn step_clock(&self, step: Option<ClockStep>) -> anyhow::Result<()> {
        let offset = match step {
            None => "+0",
            Some(ClockStep::Forward) => "+3600",
            Some(ClockStep::Back) => "-3600",
        };
        self.clock.set(offset)
    }

    /// Kills ilb.
    pub(crate) fn kill_ilb(&mut self) {
        self.ilb = None;
    }

    /// Returns ilb; an error if it has been killed.
    pub(crate) fn ilb(&mut self) -> anyhow::Result<&mut Ilb> {
        self.ilb.as_mut().context("ilb does not run")
    }

    /// Returns the address of a backend.
    pub(crate) fn address(&self, slot: Slot) -> SocketAddr {
        self.group.address(slot.index(), BACKEND_PORT)
    }

    /// Returns the addresses of all backends, for others.
    pub(crate) fn group(&self) -> Group {
        self.group
    }

    /// Returns the address at which clients reach a pool.
    pub(crate) fn entry_point(&self, traefik: usize, pool: usize) -> SocketAddr {
        (self.traefiks[traefik].0.entry_point().ip(), POOLS[pool].entry_point.1).into()
    }

    /// Changes a pod. Its backend works before the pod is Ready, and is not ended here.
    pub(crate) async fn change(&mut self, change: Change) -> anyhow::Result<()> {
        let Change { slot, to } = change;
        if to != PodState::Absent {
            self.start_server(slot).await?;
        }
        self.cluster.set_pod(slot, to, self.address(slot).ip()).await
    }

    /// Starts a backend, unless it runs or is down by a fault.
    pub(crate) async fn start_server(&mut self, slot: Slot) -> anyhow::Result<()> {
        let is_up = self.servers.contains_key(&slot);
        let is_down = self.holes.contains_key(&slot) || self.refusing.contains(&slot);
        if !is_up && !is_down {
            self.servers.insert(slot, Server::start(self.address(slot)).await?);
        }
        Ok(())
    }

    /// Returns the settings without a mistake.
    pub(crate) fn settings(&self) -> String {
        let urls: Vec<_> =
            self.traefiks.iter().map(|(_, proxy)| format!("'http://{}/api/providers/rest'", proxy.address())).collect();
        let pool = |pool: &crate::setup::PoolSpec| {
            format!(
                "- {{name: {}, entryPoint: {}, selector: '{}', namespaces: [{}], backendPort: {BACKEND_PORT}, \
                 allowLoopback: true, method: {}}}\n",
                pool.name,
                pool.entry_point.0,
                pool.selector,
                pool.name,
                if pool.counts { "leastconn" } else { "roundrobin" },
            )
        };
        format!("traefik: {{urls: [{}]}}\npools:\n{}", urls.join(", "), POOLS.iter().map(pool).collect::<String>())
    }

    /// Replaces the settings file as a whole.
    pub(crate) fn write_settings(&self, text: &str) -> anyhow::Result<()> {
        let new: PathBuf = self.folder.path().join("ilb.new");
        fs::write(&new, text)?;
        Ok(fs::rename(new, self.folder.path().join("ilb.yaml"))?)
    }
}
