use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, process::Command};

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::{Connection, Net, Process, Tools, eventually, traefik_api::TraefikApi};

/// A real Traefik with the static configuration that the product recommends.
pub struct Traefik {
    folder: TempDir,
    host: std::net::Ipv4Addr,
    process: Option<Process>,
    api: TraefikApi,
}

impl Traefik {
    /// Starts it, without any configuration but the bootstrap file.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with_entry_points(&[]).await
    }

    /// The same with more entry points, each with its port.
    pub async fn with_entry_points(more: &[(&str, u16)]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("ilb-traefik-").tempdir()?;
        let host = Net::of_this_process()?.host()?;
        write_configuration(folder.path(), &host.to_string(), more)?;
        let api = TraefikApi::new((host, 8080).into(), (host, 9090).into())?;
        let mut this = Self { folder, host, process: None, api };
        this.restart().await?;
        Ok(this)
    }

    /// The same, following the bootstrap file, so that somebody else than ilb can change what it is configured with.
    pub async fn start_watching() -> anyhow::Result<Self> {
        let mut this = Self::start().await?;
        this.kill()?;
        let file = this.folder.path().join("traefik.yml");
        let text = fs::read_to_string(&file)?;
        anyhow::ensure!(text.contains("watch: false"), "chart/files/traefik.yml does not hold watch: false any more");
        fs::write(&file, text.replace("watch: false", "watch: true"))?;
        this.restart().await?;
        Ok(this)
    }

    /// Changes the bootstrap file in a way that changes nothing for clients. One that [watches](Self::start_watching) it
    /// builds all its services again.
    pub fn rewrite_bootstrap(&self) -> anyhow::Result<()> {
        let file = self.folder.path().join("bootstrap.yml");
        let (one, two) = ("priority: 1 ", "priority: 2 ");
        let text = fs::read_to_string(&file)?;
        let new = if text.contains(one) { text.replace(one, two) } else { text.replace(two, one) };
        anyhow::ensure!(new != text, "chart/files/bootstrap.yml does not hold '{one}' any more");
        let beside = self.folder.path().join("bootstrap.new");
        fs::write(&beside, new)?;
        Ok(fs::rename(beside, file)?)
    }

    /// Starts it (again) at the same addresses and waits until its TCP port listens.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        let entry_point = self.entry_point();
        ensure!(
            tokio::net::TcpStream::connect(entry_point).await.is_err(),
            "somebody else listens on {entry_point}: end that process"
        );
        self.spawn()?;
        eventually("Traefik listens", async || {
            if let Some(process) = &mut self.process {
                process.check_running()?;
            }
            Ok(tokio::net::TcpStream::connect(entry_point).await.map(drop)?)
        })
        .await
    }

    /// Starts it (again) without waiting for anything.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(Tools::get()?.path("traefik")?);
        command.arg(format!("--configfile={}", self.folder.path().join("traefik.yml").display()));
        self.process = Some(Process::start("traefik", &command, &self.folder.path().join("traefik.log"))?);
        Ok(())
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("Traefik does not run")?.kill()
    }

    /// The process, while it runs.
    pub fn process(&self) -> anyhow::Result<&Process> {
        self.process.as_ref().context("Traefik does not run")
    }

    /// Where clients connect to.
    pub fn entry_point(&self) -> SocketAddr {
        (self.host, 3333).into()
    }

    /// A client's connection to a backend, by another of its entry points.
    pub async fn connect_at(&self, port: u16) -> anyhow::Result<Connection> {
        Connection::open((self.host, port).into()).await
    }

    /// A client's connection to a backend.
    pub async fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(self.entry_point()).await
    }

    /// The URL of the REST provider.
    pub fn rest_url(&self) -> String {
        format!("http://{}:8080/api/providers/rest", self.host)
    }

    /// One answer of Traefik's API.
    pub async fn api(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        self.api.get(path).await
    }

    /// The weights that it balances by, per backend in the order of their addresses.
    pub async fn weights(&self) -> anyhow::Result<BTreeMap<SocketAddr, Vec<u64>>> {
        let service = self.api("tcp/services/default@rest").await?;
        let mut weights: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for child in service["weighted"]["services"].as_array().into_iter().flatten() {
            let name = child["name"].as_str().context("a service without a name")?;
            let weight = child["weight"].as_u64().context("a service without a weight")?;
            weights.entry(address_of(name)?).or_default().push(weight);
        }
        Ok(weights)
    }

    /// How often it has applied a configuration.
    pub async fn reloads(&self) -> anyhow::Result<u64> {
        self.api.reloads().await
    }

    /// One of its metrics that has no labels.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        self.api.metric(name).await
    }
}

/// `default.127-0-0-1-4444` is `127.0.0.1:4444`.
fn address_of(name: &str) -> anyhow::Result<SocketAddr> {
    let (_, address) = name.split_once('.').with_context(|| format!("{name} is no backend"))?;
    let (ip, port) = address.rsplit_once('-').with_context(|| format!("{name} is no backend"))?;
    Ok(format!("{}:{port}", ip.replace('-', ".")).parse()?)
}

/// The files of the chart, moved to `host`: nothing else about them is changed.
fn write_configuration(folder: &Path, host: &str, more: &[(&str, u16)]) -> anyhow::Result<()> {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../chart/files");
    let bootstrap = folder.join("bootstrap.yml");
    let mut traefik = fs::read_to_string(chart.join("traefik.yml")).context("no chart/files/traefik.yml")?;
    for (from, to) in [
        ("\"127.0.0.1:8080\"", format!("\"{host}:8080\"")),
        ("\":9090\"", format!("\"{host}:9090\"")),
        ("\":3333\"", format!("\"{host}:3333\"")),
        ("/etc/traefik/bootstrap.yml", bootstrap.display().to_string()),
    ] {
        anyhow::ensure!(traefik.contains(from), "chart/files/traefik.yml does not hold {from} any more");
        traefik = traefik.replace(from, &to);
    }
    for (name, port) in more {
        let entry_point = format!("entryPoints:\n  {name}:\n    address: \"{host}:{port}\"\n");
        traefik = traefik.replace("entryPoints:\n", &entry_point);
    }
    fs::write(folder.join("traefik.yml"), traefik)?;
    fs::copy(chart.join("bootstrap.yml"), bootstrap)?;
    Ok(())
}
