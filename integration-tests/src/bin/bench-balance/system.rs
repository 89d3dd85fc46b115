use std::{fmt::Write as _, fs, net::SocketAddr, path::PathBuf, process::Command};

use anyhow::{Context, bail};
use ilb_integration_tests::{ApiServer, Ilb, Net, Pods, Process, Traefik, eventually};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

use crate::scenario::Scenario;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ilb,
    TraefikRoundRobin,
    HaproxyLeastconn,
    HaproxyRoundRobin,
    NginxLeastconn,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Ilb, Self::TraefikRoundRobin, Self::HaproxyLeastconn, Self::HaproxyRoundRobin, Self::NginxLeastconn];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ilb => "ilb",
            Self::TraefikRoundRobin => "traefik-rr",
            Self::HaproxyLeastconn => "haproxy-leastconn",
            Self::HaproxyRoundRobin => "haproxy-rr",
            Self::NginxLeastconn => "nginx-leastconn",
        }
    }
}

/// A load balancer that runs, in front of backends of its own.
pub(crate) struct System {
    pub(crate) kind: Kind,
    pub(crate) entry: SocketAddr,
    pub(crate) backends: Vec<SocketAddr>,
    members: Vec<bool>,
    control: Control,
}

#[expect(clippy::large_enum_variant, reason = "there are five of them in a run")]
enum Control {
    Ilb { ilb: Ilb, traefik: Traefik, pods: Pods },
    Haproxy { _process: Process, socket: PathBuf, _folder: TempDir },
    Nginx { process: Process, folder: TempDir },
}

/// An error that says how to get `program`, which is installed at once if that is possible.
pub(crate) fn require(program: &str) -> anyhow::Result<()> {
    let there = || Command::new(program).arg("-v").output().is_ok();
    let packages: &[&str] = if program == "nginx" { &["nginx-light", "libnginx-mod-stream"] } else { &["haproxy"] };
    let how = format!("bench-balance needs {program}: apt-get install {}", packages.join(" "));
    if there() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        bail!("{how} (as root)");
    }
    eprintln!("installing {}", packages.join(" "));
    let status = Command::new("apt-get").args(["install", "-y", "-q"]).args(packages).status().context(how.clone())?;
    if status.success() && there() { Ok(()) } else { bail!("{how}") }
}

impl System {
    pub(crate) async fn start(kind: Kind, number: u8, scenario: &Scenario, api: &ApiServer) -> anyhow::Result<Self> {
        let net = Net::of_this_process()?;
        let kinds = (0u8..).zip(Kind::ALL);
        let group = (number * 5 + kinds.into_iter().find(|(_, k)| *k == kind).map_or(0, |(index, _)| index)) % 31;
        let port = 5_000 + u16::from(number * 5 + group);
        let backends = (0u16..).take(scenario.backends).map(|i| net.backend(group, i, port)).collect::<Vec<_>>();
        let members: Vec<bool> = (0..scenario.backends).map(|i| i < scenario.initial).collect();
        let (entry, control) = match kind {
            Kind::Ilb | Kind::TraefikRoundRobin => {
                let namespace = format!("{}-{}", scenario.name, kind.name());
                start_ilb(kind, &namespace, port, api).await?
            }
            Kind::HaproxyLeastconn => start_haproxy("leastconn", (net.host()?, 3333).into(), &backends, &members)?,
            Kind::HaproxyRoundRobin => start_haproxy("roundrobin", (net.host()?, 3333).into(), &backends, &members)?,
            Kind::NginxLeastconn => start_nginx((net.host()?, 3333).into(), &backends, &members)?,
        };
        let mut this = Self { kind, entry, backends, members: vec![false; scenario.backends], control };
        for index in (0..scenario.initial).filter(|_| matches!(this.control, Control::Ilb { .. })).collect::<Vec<_>>() {
            this.set_member(index, true).await?;
        }
        this.members = members;
        eventually("the balancer listens", async || Ok(TcpStream::connect(entry).await.map(drop)?)).await?;
        if let Control::Ilb { traefik, .. } = &this.control {
            eventually("all backends are in force", async || {
                anyhow::ensure!(traefik.weights().await?.len() == scenario.initial, "not yet");
                Ok(())
            })
            .await?;
        }
        Ok(this)
    }

    /// Adds a backend to those that get connections, or takes it away.
    pub(crate) async fn set_member(&mut self, index: usize, member: bool) -> anyhow::Result<()> {
        self.members[index] = member;
        match &self.control {
            Control::Ilb { pods, .. } => {
                let name = format!("pod-{index}");
                let _ = pods.create(&name).await; // it may be there already
                pods.set_status(&name, self.backends[index].ip(), member).await
            }
            Control::Haproxy { socket, .. } => {
                let state = if member { "ready" } else { "maint" };
                let mut stream = UnixStream::connect(socket).await?;
                stream.write_all(format!("set server be/b{index} state {state}\n").as_bytes()).await?;
                stream.read_to_string(&mut String::new()).await?;
                Ok(())
            }
            Control::Nginx { process, folder } => {
                write_nginx(folder, self.entry, &self.backends, &self.members)?;
                process.signal(rustix::process::Signal::HUP)
            }
        }
    }

    /// How often it has been given another configuration, as far as it counts.
    pub(crate) async fn pushes(&self) -> anyhow::Result<Option<u64>> {
        match &self.control {
            Control::Ilb { traefik, .. } => Ok(Some(traefik.reloads().await?)),
            _ => Ok(None),
        }
    }

    /// The processor seconds that ilb and its Traefik have used.
    pub(crate) fn processor_seconds(&self) -> anyhow::Result<Option<(f64, f64)>> {
        match &self.control {
            Control::Ilb { ilb, traefik, .. } => {
                Ok(Some((seconds_of(ilb.process())?, seconds_of(traefik.process()?)?)))
            }
            _ => Ok(None),
        }
    }
}

/// `utime` and `stime` of `/proc/PID/stat`, which Linux counts in hundredths of a second on every usual machine.
fn seconds_of(process: &Process) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", process.id()))?;
    let (_, fields) = stat.rsplit_once(')').context("/proc/PID/stat has another form")?;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    Ok(ticks.iter().sum::<f64>() / 100.0)
}

async fn start_ilb(kind: Kind, namespace: &str, port: u16, api: &ApiServer) -> anyhow::Result<(SocketAddr, Control)> {
    let traefik = Traefik::start().await?;
    let pods = api.namespace(namespace).await?;
    let method = if kind == Kind::Ilb { "leastconn" } else { "roundrobin" };
    let ilb = Ilb::start(&[
        ("KUBECONFIG", &api.kubeconfig().display().to_string()),
        ("POD_LABELS", Pods::SELECTOR),
        ("POD_NAMESPACE", pods.namespace()),
        ("TRAEFIK_API_URL", &traefik.rest_url()),
        ("BACKEND_PORT", &port.to_string()),
        ("LB_METHOD", method),
        ("ILB_ALLOW_LOOPBACK_BACKENDS", "true"),
    ])?;
    Ok((traefik.entry_point(), Control::Ilb { ilb, traefik, pods }))
}

fn start_haproxy(
    balance: &str,
    entry: SocketAddr,
    backends: &[SocketAddr],
    members: &[bool],
) -> anyhow::Result<(SocketAddr, Control)> {
    let folder = tempfile::Builder::new().prefix("bench-haproxy-").tempdir()?;
    let socket = folder.path().join("socket");
    let mut text = format!(
        "global\n stats socket {} level admin\n maxconn 8000\ndefaults\n mode tcp\n timeout connect 2s\n \
         timeout client 1h\n timeout server 1h\n option redispatch\nlisten be\n bind {entry}\n balance {balance}\n",
        socket.display()
    );
    for (i, (backend, member)) in backends.iter().zip(members).enumerate() {
        writeln!(text, " server b{i} {backend} check {}", if *member { "" } else { "disabled" })?;
    }
    let file = folder.path().join("haproxy.cfg");
    fs::write(&file, text)?;
    let mut command = Command::new("haproxy");
    command.arg("-db").arg("-f").arg(&file);
    let process = Process::start("haproxy", &command, &folder.path().join("log"))?;
    Ok((entry, Control::Haproxy { _process: process, socket, _folder: folder }))
}

fn start_nginx(entry: SocketAddr, backends: &[SocketAddr], members: &[bool]) -> anyhow::Result<(SocketAddr, Control)> {
    let folder = tempfile::Builder::new().prefix("bench-nginx-").tempdir()?;
    write_nginx(&folder, entry, backends, members)?;
    let mut command = Command::new("nginx");
    command.arg("-c").arg(folder.path().join("nginx.conf"));
    let process = Process::start("nginx", &command, &folder.path().join("log"))?;
    Ok((entry, Control::Nginx { process, folder }))
}

fn write_nginx(folder: &TempDir, entry: SocketAddr, backends: &[SocketAddr], members: &[bool]) -> anyhow::Result<()> {
    let path = folder.path().display();
    let used = backends.iter().zip(members).filter(|(_, member)| **member);
    let servers: Vec<_> = used.map(|(backend, _)| format!("  server {backend};\n")).collect();
    let servers = servers.concat();
    let text = format!(
        "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\ndaemon off;\nworker_processes 2;\npid {path}/pid;\n\
         error_log {path}/error.log;\nevents {{ worker_connections 8192; }}\nstream {{\n upstream be {{\n  zone be 256k;\n  \
         least_conn;\n{servers} }}\n server {{\n  listen {entry};\n  proxy_connect_timeout 2s;\n  proxy_timeout 1h;\n  \
         proxy_pass be;\n }}\n}}\n"
    );
    Ok(fs::write(folder.path().join("nginx.conf"), text)?)
}
