//! A real Traefik with the configuration of the chart.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path, process::Command};

use anyhow::{Context, ensure};
use tempfile::TempDir;

use crate::{Connection, Net, Process, eventually, in_checkout, tools, traefik_api::TraefikApi};

/// A real Traefik with the static configuration that the chart installs.
#[derive(Debug)]
pub struct Traefik {
    folder: TempDir,
    host: std::net::Ipv4Addr,
    /// Name of the program in the testbed.
    program: String,
    process: Option<Process>,
    api: TraefikApi,
}

impl Traefik {
    /// Starts Traefik with no dynamic configuration but the bootstrap file.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with_entry_points(&[]).await
    }

    /// Starts Traefik with more entry points, each with its port.
    pub async fn with_entry_points(more: &[(&str, u16)]) -> anyhow::Result<Self> {
        Self::of_program("traefik".to_owned(), more).await
    }

    /// Starts an older version of Traefik, one that the testbed has, with more entry points.
    pub async fn of_version(version: &str, more: &[(&str, u16)]) -> anyhow::Result<Self> {
        Self::of_program(format!("traefik-{version}"), more).await
    }

    async fn of_program(program: String, more: &[(&str, u16)]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("ilb-traefik-").tempdir()?;
        let host = Net::for_this_process()?.host()?;
        write_configuration(folder.path(), &host.to_string(), more)?;
        let api = TraefikApi::new((host, 8080).into(), (host, 9090).into())?;
        let mut this = Self { folder, host, program, process: None, api };
        this.restart().await?;
        Ok(this)
    }

    /// Starts Traefik so that it watches the bootstrap file: then its configuration has another writer besides ilb.
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

    /// Changes the bootstrap file in a way that changes nothing for clients. A Traefik that
    /// [watches](Self::start_watching) it rebuilds all its services.
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

    /// Adds an entry point to the configuration, which has an effect from the next start on.
    pub fn add_entry_point(&self, name: &str, port: u16) -> anyhow::Result<()> {
        let file = self.folder.path().join("traefik.yml");
        let text = fs::read_to_string(&file)?;
        Ok(fs::write(&file, with_entry_point(&text, name, &self.host.to_string(), port))?)
    }

    /// Starts Traefik (again) at the same addresses and waits until its TCP port listens.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        let entry_point = self.entry_point();
        ensure!(
            tokio::net::TcpStream::connect(entry_point).await.is_err(),
            "another process listens at {entry_point}: end it"
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

    /// Starts Traefik (again) without waiting for anything.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        let mut command = Command::new(tools::path(&self.program)?);
        command.arg(format!("--configfile={}", self.folder.path().join("traefik.yml").display()));
        self.process = Some(Process::start("traefik", &command, &self.folder.path().join("traefik.log"))?);
        Ok(())
    }

    /// Kills Traefik with SIGKILL.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.take().context("Traefik does not run")?.kill()
    }

    /// Returns the process; an error if Traefik does not run.
    pub fn process(&self) -> anyhow::Result<&Process> {
        self.process.as_ref().context("Traefik does not run")
    }

    /// Returns the address that clients connect to.
    pub fn entry_point(&self) -> SocketAddr {
        (self.host, 3333).into()
    }

    /// Connects as a client by the entry point at `port`.
    pub async fn connect_at(&self, port: u16) -> anyhow::Result<Connection> {
        Connection::open((self.host, port).into()).await
    }

    /// Connects as a client.
    pub async fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(self.entry_point()).await
    }

    /// Returns the URL of the REST provider.
    pub fn rest_url(&self) -> String {
        format!("http://{}:8080/api/providers/rest", self.host)
    }

    /// Returns the answer to `GET /api/PATH`.
    pub async fn api(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        self.api.get(path).await
    }

    /// Returns the weights of each backend, in the order of their addresses.
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

    /// Returns how many times Traefik has applied a configuration.
    pub async fn reloads(&self) -> anyhow::Result<u64> {
        self.api.reloads().await
    }

    /// Returns the value of a metric without labels.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        self.api.metric(name).await
    }
}

/// Returns the address in the name of a service: `default.127-0-0-1-4444` is `127.0.0.1:4444`.
fn address_of(name: &str) -> anyhow::Result<SocketAddr> {
    let (_, address) = name.split_once('.').with_context(|| format!("{name} is no backend"))?;
    let (ip, port) = address.rsplit_once('-').with_context(|| format!("{name} is no backend"))?;
    Ok(format!("{}:{port}", ip.replace('-', ".")).parse()?)
}

/// Writes the files of the chart with `host` as the address of everything. Nothing else about them is changed.
fn write_configuration(folder: &Path, host: &str, more: &[(&str, u16)]) -> anyhow::Result<()> {
    let chart = in_checkout("chart/files");
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
        traefik = with_entry_point(&traefik, name, host, *port);
    }
    fs::write(folder.join("traefik.yml"), traefik)?;
    fs::copy(chart.join("bootstrap.yml"), bootstrap)?;
    Ok(())
}

/// Returns the configuration `text` with one more entry point.
fn with_entry_point(text: &str, name: &str, host: &str, port: u16) -> String {
    let entry_point = format!("entryPoints:\n  {name}:\n    address: \"{host}:{port}\"\n");
    text.replace("entryPoints:\n", &entry_point)
}
