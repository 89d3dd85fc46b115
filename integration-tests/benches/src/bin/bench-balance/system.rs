//! Load balancers that run, each in front of backends of its own.

mod ilb;
mod peers;
mod siblings;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use anyhow::{Context, bail};
use ilb_benches::processor_time::seconds_of;
use ilb_testbed::{ApiServer, Net, Process, Readiness, Signal, Traefik, eventually};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

pub(crate) use self::{
    ilb::IlbAndTraefik,
    siblings::{Siblings, backend_address, open_network},
};
use self::{
    ilb::{Members, Method, Proxy},
    peers::{start_haproxy, start_nginx, write_nginx},
};
use crate::{clients::Route, contender::Contender, scenario::Scenario};

/// A contender that runs, in front of backends of its own.
pub(crate) struct System {
    pub(crate) contender: Contender,
    /// Replicas that take new connections.
    pub(crate) replicas: Vec<Replica>,
    /// Replicas that keep the connections that they have.
    draining: Vec<Replica>,
    siblings: Option<Siblings>,
    scenario: &'static Scenario,
    members: Vec<bool>,
}

/// One replica of a contender: a process, or ilb with its Traefik.
///
/// Replicas in the same network namespace reach the same backends at addresses of their own each, so that one sees no
/// connections but its own, as in a pod. Those before common addresses are in network namespaces of their own.
pub(crate) struct Replica {
    pub(crate) entry: SocketAddr,
    pub(crate) backends: Vec<SocketAddr>,
    capacities: Vec<u8>,
    control: Control,
}

enum Control {
    Ilb(Box<IlbAndTraefik>),
    Haproxy { _process: Process, socket: PathBuf, _folder: TempDir },
    Nginx { process: Process, folder: TempDir },
}

impl System {
    /// Starts a contender. Its backends are pods of the API server, or in a file if there is none or replicas are siblings.
    pub(crate) async fn start(
        contender: Contender,
        scenario: &'static Scenario,
        api: Option<&ApiServer>,
    ) -> anyhow::Result<Self> {
        let members: Vec<bool> = (0..scenario.backends).map(|i| i < scenario.initial).collect();
        let (replicas, draining) = (Vec::new(), Vec::new());
        let mut this = Self { contender, replicas, draining, siblings: None, scenario, members };
        if scenario.has_siblings() {
            if contender == Contender::Ilb {
                let api = api.context("siblings are found by an API server")?;
                this.siblings = Some(Siblings::new(api).await?);
            }
            let (_, backends) = addresses(scenario)?;
            let count = if contender == Contender::HaproxyOne { 1 } else { scenario.replicas };
            this.start_beside_others(count, &backends).await?;
            return Ok(this);
        }
        for number in 0..scenario.replicas {
            this.replicas.push(Replica::start(contender, number, scenario, &this.members, api).await?);
        }
        Ok(this)
    }

    /// Starts replicas that share the backends with those that run, and adds them.
    async fn start_beside_others(&mut self, count: usize, backends: &[SocketAddr]) -> anyhow::Result<()> {
        if !matches!(self.contender, Contender::Ilb | Contender::IlbApart) {
            for _ in 0..count {
                let replica = Replica::start_peer(self.contender, backends.to_vec(), self.scenario, &self.members)?;
                replica.wait_until_listening().await?;
                self.replicas.push(replica);
            }
            return Ok(());
        }
        let new: Vec<u16> = (0..count).map(|_| IlbAndTraefik::free_number()).collect();
        if let Some(siblings) = &self.siblings {
            let all: Vec<u16> = self.ilbs().filter_map(IlbAndTraefik::number).chain(new.iter().copied()).collect();
            siblings.list_together(&all).await?;
        }
        for number in new {
            let both = IlbAndTraefik::start_beside_others(number, backends, self.siblings.as_ref()).await?;
            self.replicas.push(Replica {
                entry: both.traefik.entry_point(),
                backends: backends.to_vec(),
                capacities: vec![1; backends.len()],
                control: Control::Ilb(Box::new(both)),
            });
        }
        if self.siblings.is_some() {
            let others = self.ilbs().count() - 1;
            for both in self.ilbs() {
                both.wait_until_hearing(others).await?;
            }
        }
        Ok(())
    }

    /// Starts as many new replicas, which take all new connections from now on; the old ones drain.
    pub(crate) async fn replace_replicas(&mut self) -> anyhow::Result<()> {
        if self.contender == Contender::HaproxyOne {
            return Ok(());
        }
        let old = self.replicas.len();
        let backends = self.common_backends()?;
        self.start_beside_others(old, &backends).await?;
        for replica in self.replicas.drain(..old) {
            if let Control::Ilb(both) = &replica.control {
                both.traefik.drain()?;
            }
            self.draining.push(replica);
        }
        Ok(())
    }

    /// Starts one more replica.
    pub(crate) async fn add_replica(&mut self) -> anyhow::Result<()> {
        if self.contender == Contender::HaproxyOne {
            return Ok(());
        }
        let backends = self.common_backends()?;
        self.start_beside_others(1, &backends).await
    }

    /// Cuts off the last replica from its siblings, if it has some.
    pub(crate) fn cut_off_replica(&self) -> anyhow::Result<()> {
        if self.siblings.is_none() {
            return Ok(());
        }
        let ilbs: Vec<_> = self.ilbs().collect();
        let Some((last, others)) = ilbs.split_last() else { return Ok(()) };
        others.iter().try_for_each(|other| last.cut_off(other))
    }

    fn common_backends(&self) -> anyhow::Result<Vec<SocketAddr>> {
        Ok(self.replicas.first().context("there is no replica")?.backends.clone())
    }

    /// Returns the routes to the replicas that take new connections.
    pub(crate) fn routes(&self) -> Vec<Route> {
        let count = self.replicas.len();
        let route = |(index, replica): (usize, &Replica)| Route {
            entry: replica.entry,
            backends: replica.backends.clone(),
            part: if count == 1 { 1.0 } else { self.scenario.part(index, count) },
        };
        self.replicas.iter().enumerate().map(route).collect()
    }

    /// Adds a backend to those that get connections, or removes it.
    pub(crate) async fn set_member(&mut self, index: usize, member: bool) -> anyhow::Result<()> {
        self.members[index] = member;
        for replica in &self.replicas {
            replica.set_member(index, &self.members).await?;
        }
        Ok(())
    }

    /// Changes the configuration of Traefik as another writer. The other contenders have no other writer.
    pub(crate) fn reload(&self) -> anyhow::Result<()> {
        self.ilbs().try_for_each(|both| both.traefik.reload())
    }

    /// Returns how many times the configuration was replaced; `None` if the contender does not count that. Replicas that
    /// drain are left out: they end with their last connection.
    pub(crate) async fn pushes(&self) -> anyhow::Result<Option<f64>> {
        let mut sum = None;
        for both in self.ilbs_that_take_connections() {
            sum = Some(sum.unwrap_or(0.0) + both.traefik.reloads().await?);
        }
        Ok(sum)
    }

    /// Returns the processor seconds of ilb and of its Traefik, without replicas that drain.
    pub(crate) fn processor_seconds(&self) -> anyhow::Result<Option<(f64, f64)>> {
        let mut sum = None;
        for both in self.ilbs_that_take_connections() {
            let (ilb, traefik) = sum.unwrap_or((0.0, 0.0));
            let of = |process: &Process| seconds_of(&process.id().to_string());
            sum = Some((ilb + of(both.ilb.process())?, traefik + of(both.traefik.process()?)?));
        }
        Ok(sum)
    }

    /// Returns the processor seconds that ilb took for counting connections, and those that it took at all.
    pub(crate) async fn counting_seconds(&self) -> anyhow::Result<(f64, f64)> {
        const COUNTING: &str = "ilb_pool_samples_cpu_seconds_total{pool=\"default\"}";
        let both = self.ilbs().next().context("only ilb counts by samples")?;
        Ok((both.admin.metric(COUNTING).await?, both.admin.metric("process_cpu_seconds_total").await?))
    }

    /// Returns the Traefik that has the plan of ilb, and the backends in it; `None` for the other contenders.
    pub(crate) fn plan(&self) -> Option<(Arc<Traefik>, &[SocketAddr])> {
        let replica = self.replicas.first()?;
        match &replica.control {
            Control::Ilb(both) => match &both.traefik {
                Proxy::Chart(traefik) => Some((Arc::clone(traefik), &replica.backends)),
                Proxy::InPod(_) => None,
            },
            _ => None,
        }
    }

    /// Returns all replicas of ilb, also those that drain.
    fn ilbs(&self) -> impl Iterator<Item = &IlbAndTraefik> {
        self.draining.iter().filter_map(Replica::ilb).chain(self.ilbs_that_take_connections())
    }

    fn ilbs_that_take_connections(&self) -> impl Iterator<Item = &IlbAndTraefik> {
        self.replicas.iter().filter_map(Replica::ilb)
    }
}

/// Returns a port that no other system uses, and addresses of new backends there.
fn addresses(scenario: &Scenario) -> anyhow::Result<(u16, Vec<SocketAddr>)> {
    static STARTED: AtomicU16 = AtomicU16::new(0);
    let port = 5_000 + STARTED.fetch_add(1, Ordering::Relaxed);
    let indices = (0u16..).take(scenario.backends);
    if scenario.has_siblings() {
        return Ok((port, indices.map(|i| backend_address(i, port)).collect()));
    }
    let group = Net::for_this_process()?.group();
    Ok((port, indices.map(|i| group.address(i, port)).collect()))
}

impl Replica {
    /// Starts a replica before backends at addresses of its own.
    async fn start(
        contender: Contender,
        number: usize,
        scenario: &Scenario,
        members: &[bool],
        api: Option<&ApiServer>,
    ) -> anyhow::Result<Self> {
        let (port, backends) = addresses(scenario)?;
        let method = match contender {
            Contender::Ilb | Contender::IlbApart => Method::LeastConnections,
            Contender::TraefikRoundRobin => Method::RoundRobin,
            _ => {
                let replica = Self::start_peer(contender, backends, scenario, members)?;
                replica.wait_until_listening().await?;
                return Ok(replica);
            }
        };
        let capacities = capacities(scenario);
        let has_capacities = capacities.iter().any(|capacity| *capacity > 1);
        let source = if let Some(api) = api.filter(|_| !has_capacities) {
            let namespace = format!("{}-{}-{number}", scenario.name, contender.name());
            let kubeconfig = api.kubeconfig().display().to_string();
            Members::Pods { pods: Box::new(api.namespace(&namespace).await?), kubeconfig }
        } else {
            Members::File(tempfile::Builder::new().prefix("bench-backends-").tempdir()?)
        };
        let both = IlbAndTraefik::start(method, source, port, &backends, &capacities).await?;
        let entry = both.traefik.entry_point();
        let replica = Self { entry, backends, capacities, control: Control::Ilb(Box::new(both)) };
        replica.settle(scenario.initial, members).await?;
        Ok(replica)
    }

    /// Starts a replica of a peer of ilb.
    fn start_peer(
        contender: Contender,
        backends: Vec<SocketAddr>,
        scenario: &Scenario,
        members: &[bool],
    ) -> anyhow::Result<Self> {
        let (entry, capacities) = ((Net::for_this_process()?.host()?, 3333).into(), capacities(scenario));
        let control = match contender {
            Contender::HaproxyLeastconn | Contender::HaproxyOne | Contender::HaproxyRoundRobin => {
                let balance = if contender == Contender::HaproxyRoundRobin { "roundrobin" } else { "leastconn" };
                let (process, socket, folder) = start_haproxy(balance, entry, &backends, &capacities, members)?;
                Control::Haproxy { _process: process, socket, _folder: folder }
            }
            Contender::NginxLeastconn => {
                let (process, folder) = start_nginx(entry, &backends, &capacities, members)?;
                Control::Nginx { process, folder }
            }
            Contender::Ilb | Contender::IlbApart | Contender::TraefikRoundRobin => bail!("it is no peer"),
        };
        Ok(Self { entry, backends, capacities, control })
    }

    fn ilb(&self) -> Option<&IlbAndTraefik> {
        match &self.control {
            Control::Ilb(both) => Some(both),
            _ => None,
        }
    }

    /// Waits until the replica balances over the initial backends.
    async fn settle(&self, initial: usize, members: &[bool]) -> anyhow::Result<()> {
        if let Control::Ilb(both) = &self.control
            && let Proxy::Chart(traefik) = &both.traefik
        {
            if let Members::Pods { .. } = both.members {
                for index in 0..initial {
                    self.set_member(index, members).await?;
                }
            }
            eventually("all backends are in force", async || {
                anyhow::ensure!(traefik.weights().await?.len() == initial, "not yet");
                Ok(())
            })
            .await?;
        }
        self.wait_until_listening().await
    }

    async fn wait_until_listening(&self) -> anyhow::Result<()> {
        let entry = self.entry;
        eventually("the balancer listens", async || Ok(TcpStream::connect(entry).await.map(drop)?)).await
    }

    async fn set_member(&self, index: usize, members: &[bool]) -> anyhow::Result<()> {
        let member = members[index];
        match &self.control {
            Control::Ilb(both) => match &both.members {
                Members::Pods { pods, .. } => {
                    let name = format!("pod-{index}");
                    let _ = pods.create(&name).await; // it may exist already
                    let readiness = if member { Readiness::Ready } else { Readiness::NotReady };
                    pods.set_status(&name, self.backends[index].ip(), readiness).await
                }
                Members::File(_) => bail!("the backends of a file cannot change"),
            },
            Control::Haproxy { socket, .. } => {
                let state = if member { "ready" } else { "maint" };
                let mut stream = UnixStream::connect(socket).await?;
                stream.write_all(format!("set server be/b{index} state {state}\n").as_bytes()).await?;
                stream.read_to_string(&mut String::new()).await?;
                Ok(())
            }
            Control::Nginx { process, folder } => {
                write_nginx(folder, self.entry, &self.backends, &self.capacities, members)?;
                process.signal(Signal::HUP)
            }
        }
    }
}

fn capacities(scenario: &Scenario) -> Vec<u8> {
    (0..scenario.backends).map(|i| scenario.capacity(i)).collect()
}
