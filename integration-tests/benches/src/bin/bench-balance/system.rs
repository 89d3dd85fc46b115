//! Load balancers that run, each in front of backends of its own.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering},
    },
};

use anyhow::{Context, bail};
use ilb_benches::processor_time::seconds_of;
use ilb_testbed::{Admin, ApiServer, Ilb, Net, Pods, Process, Readiness, Signal, Traefik, eventually, tools};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

use crate::{contender::Contender, scenario::Scenario};

/// A contender that runs, in front of backends of its own.
pub(crate) struct System {
    pub(crate) contender: Contender,
    pub(crate) replicas: Vec<Replica>,
    members: Vec<bool>,
}

/// One replica of a contender: a process, or ilb with its Traefik.
///
/// Each reaches the same backends at addresses of its own, so that in the common network namespace it sees no connections
/// but its own, as in a pod.
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

struct IlbAndTraefik {
    ilb: Ilb,
    admin: Admin,
    traefik: Arc<Traefik>,
    members: Members,
}

/// The source from which ilb discovers its backends.
enum Members {
    Pods {
        pods: Box<Pods>,
        kubeconfig: String,
    },
    /// A file, which can have capacities.
    File(TempDir),
}

impl System {
    /// Starts a contender. Its backends are pods of the API server, or in a file if there is none.
    pub(crate) async fn start(
        contender: Contender,
        scenario: &Scenario,
        api: Option<&ApiServer>,
    ) -> anyhow::Result<Self> {
        let members: Vec<bool> = (0..scenario.backends).map(|i| i < scenario.initial).collect();
        let mut replicas = Vec::new();
        for number in 0..scenario.replicas {
            replicas.push(Replica::start(contender, number, scenario, &members, api).await?);
        }
        Ok(Self { contender, replicas, members })
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
        self.traefiks().try_for_each(|both| both.traefik.rewrite_bootstrap())
    }

    /// Returns how many times the configuration was replaced; `None` if the contender does not count that.
    pub(crate) async fn pushes(&self) -> anyhow::Result<Option<f64>> {
        let mut sum = None;
        for both in self.traefiks() {
            sum = Some(sum.unwrap_or(0.0) + both.traefik.metric("traefik_config_reloads_total").await?);
        }
        Ok(sum)
    }

    /// Returns the processor seconds of ilb and of its Traefik.
    pub(crate) fn processor_seconds(&self) -> anyhow::Result<Option<(f64, f64)>> {
        let mut sum = None;
        for both in self.traefiks() {
            let (ilb, traefik) = sum.unwrap_or((0.0, 0.0));
            let of = |process: &Process| seconds_of(&process.id().to_string());
            sum = Some((ilb + of(both.ilb.process())?, traefik + of(both.traefik.process()?)?));
        }
        Ok(sum)
    }

    /// Returns the processor seconds that ilb took for counting connections, and those that it took at all.
    pub(crate) async fn counting_seconds(&self) -> anyhow::Result<(f64, f64)> {
        const COUNTING: &str = "ilb_pool_samples_cpu_seconds_total{pool=\"default\"}";
        let both = self.traefiks().next().context("only ilb counts by samples")?;
        Ok((both.admin.metric(COUNTING).await?, both.admin.metric("process_cpu_seconds_total").await?))
    }

    /// Returns the Traefik that has the plan of ilb, and the backends in it; `None` for the other contenders.
    pub(crate) fn plan(&self) -> Option<(Arc<Traefik>, &[SocketAddr])> {
        let replica = self.replicas.first()?;
        match &replica.control {
            Control::Ilb(both) => Some((Arc::clone(&both.traefik), &replica.backends)),
            _ => None,
        }
    }

    fn traefiks(&self) -> impl Iterator<Item = &IlbAndTraefik> {
        self.replicas.iter().filter_map(|replica| match &replica.control {
            Control::Ilb(both) => Some(&**both),
            _ => None,
        })
    }
}

impl Replica {
    async fn start(
        contender: Contender,
        number: usize,
        scenario: &Scenario,
        members: &[bool],
        api: Option<&ApiServer>,
    ) -> anyhow::Result<Self> {
        static STARTED: AtomicU16 = AtomicU16::new(0);
        let net = Net::for_this_process()?;
        let port = 5_000 + STARTED.fetch_add(1, Ordering::Relaxed);
        let group = net.group();
        let backends = (0u16..).take(scenario.backends).map(|i| group.address(i, port)).collect::<Vec<_>>();
        let capacities: Vec<u8> = (0..scenario.backends).map(|i| scenario.capacity(i)).collect();
        let replica = match contender {
            Contender::Ilb | Contender::TraefikRoundRobin => {
                let has_capacities = capacities.iter().any(|capacity| *capacity > 1);
                let members = if let Some(api) = api.filter(|_| !has_capacities) {
                    let namespace = format!("{}-{}-{number}", scenario.name, contender.name());
                    let kubeconfig = api.kubeconfig().display().to_string();
                    Members::Pods { pods: Box::new(api.namespace(&namespace).await?), kubeconfig }
                } else {
                    Members::File(tempfile::Builder::new().prefix("bench-backends-").tempdir()?)
                };
                let both = start_ilb(contender, members, port, &backends, &capacities).await?;
                let entry = both.traefik.entry_point();
                Self { entry, backends, capacities, control: Control::Ilb(Box::new(both)) }
            }
            Contender::HaproxyLeastconn | Contender::HaproxyRoundRobin => {
                let entry = (net.host()?, 3333).into();
                let balance = if contender == Contender::HaproxyLeastconn { "leastconn" } else { "roundrobin" };
                let control = start_haproxy(balance, entry, &backends, &capacities, members)?;
                Self { entry, backends, capacities, control }
            }
            Contender::NginxLeastconn => {
                let entry = (net.host()?, 3333).into();
                let control = start_nginx(entry, &backends, &capacities, members)?;
                Self { entry, backends, capacities, control }
            }
        };
        replica.settle(scenario.initial, members).await?;
        Ok(replica)
    }

    /// Waits until the replica balances over the initial backends.
    async fn settle(&self, initial: usize, members: &[bool]) -> anyhow::Result<()> {
        if let Control::Ilb(both) = &self.control {
            if let Members::Pods { .. } = both.members {
                for index in 0..initial {
                    self.set_member(index, members).await?;
                }
            }
            eventually("all backends are in force", async || {
                anyhow::ensure!(both.traefik.weights().await?.len() == initial, "not yet");
                Ok(())
            })
            .await?;
        }
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

async fn start_ilb(
    contender: Contender,
    members: Members,
    port: u16,
    backends: &[SocketAddr],
    capacities: &[u8],
) -> anyhow::Result<IlbAndTraefik> {
    let traefik = Traefik::start_watching().await?;
    let admin = Admin::new((Net::for_this_process()?.host()?, 8081).into())?;
    let (url, admin_address, port) = (traefik.rest_url(), admin.address().to_string(), port.to_string());
    let mut file = String::new();
    let mut variables = vec![
        ("ILB_ADMIN_ADDRESS", admin_address.as_str()),
        ("TRAEFIK_API_URL", url.as_str()),
        ("LB_METHOD", if contender == Contender::Ilb { "leastconn" } else { "roundrobin" }),
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
            let path = folder.path().join("backends.yaml");
            let line = |(backend, capacity): (&SocketAddr, &u8)| {
                format!("- {{ address: '{backend}', capacity: {capacity} }}\n")
            };
            fs::write(&path, backends.iter().zip(capacities).map(line).collect::<String>())?;
            file.push_str(&path.display().to_string());
            variables.push(("ILB_BACKENDS_FILE", &file));
        }
    }
    let ilb = Ilb::start(&variables)?;
    Ok(IlbAndTraefik { ilb, admin, traefik: Arc::new(traefik), members })
}

fn start_haproxy(
    balance: &str,
    entry: SocketAddr,
    backends: &[SocketAddr],
    capacities: &[u8],
    members: &[bool],
) -> anyhow::Result<Control> {
    let folder = tempfile::Builder::new().prefix("bench-haproxy-").tempdir()?;
    let socket = folder.path().join("socket");
    let mut text = format!(
        "global\n stats socket {} level admin\n maxconn 8000\ndefaults\n mode tcp\n timeout connect 2s\n \
         timeout client 1h\n timeout server 1h\n option redispatch\nlisten be\n bind {entry}\n balance {balance}\n",
        socket.display()
    );
    for (i, ((backend, capacity), member)) in backends.iter().zip(capacities).zip(members).enumerate() {
        let disabled = if *member { "" } else { "disabled" };
        writeln!(text, " server b{i} {backend} check weight {capacity} {disabled}")?;
    }
    let file = folder.path().join("haproxy.cfg");
    fs::write(&file, text)?;
    let mut command = Command::new(tools::path("haproxy")?);
    command.arg("-db").arg("-f").arg(&file);
    let process = Process::start("haproxy", &command, &folder.path().join("log"))?;
    Ok(Control::Haproxy { _process: process, socket, _folder: folder })
}

fn start_nginx(
    entry: SocketAddr,
    backends: &[SocketAddr],
    capacities: &[u8],
    members: &[bool],
) -> anyhow::Result<Control> {
    let folder = tempfile::Builder::new().prefix("bench-nginx-").tempdir()?;
    write_nginx(&folder, entry, backends, capacities, members)?;
    let mut command = Command::new(tools::path("nginx")?);
    command.arg("-c").arg(folder.path().join("nginx.conf"));
    // The workers would outlive a killed master, and would go on listening.
    let process = Process::start_family("nginx", &command, &folder.path().join("log"))?;
    Ok(Control::Nginx { process, folder })
}

fn write_nginx(
    folder: &TempDir,
    entry: SocketAddr,
    backends: &[SocketAddr],
    capacities: &[u8],
    members: &[bool],
) -> anyhow::Result<()> {
    let path = folder.path().display();
    let used = backends.iter().zip(capacities).zip(members).filter(|(_, member)| **member);
    let servers: Vec<_> = used.map(|((b, capacity), _)| format!("  server {b} weight={capacity};\n")).collect();
    let servers = servers.concat();
    let text = format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\ndaemon off;\nuser root;\nworker_processes 2;\npid {path}/pid;\n\
         error_log {path}/error.log;\nevents {{ worker_connections 8192; }}\nstream {{\n upstream be {{\n  zone be 1m;\n  \
         least_conn;\n{servers} }}\n server {{\n  listen {entry};\n  proxy_connect_timeout 2s;\n  proxy_timeout 1h;\n  \
         proxy_pass be;\n }}\n}}\n"
    );
    Ok(fs::write(folder.path().join("nginx.conf"), text)?)
}
