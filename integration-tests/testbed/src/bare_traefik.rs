//! A real Traefik of any version, without anything of the chart.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::{Net, Network, Process, eventually, tools, traefik_api::TraefikApi};

/// A real Traefik of any version that the testbed has, with nothing but the REST provider: for tests of the client alone.
///
/// Its entry points are `tcp` (3333), `udp` (3334) and `traefik` (8080); with [`secured`](BareTraefikBuilder::secured)
/// also `secure` (8443).
#[derive(Debug)]
pub struct BareTraefik {
    folder: TempDir,
    host: Ipv4Addr,
    version: String,
    arguments: Vec<String>,
    api_port: u16,
    user: Option<u32>,
    binary: PathBuf,
    network: Network,
    process: Option<Process>,
    api: TraefikApi,
}

/// Settings for a [`BareTraefik`].
#[derive(Debug, Default)]
#[must_use]
pub struct BareTraefikBuilder {
    version: Option<String>,
    throttle: Option<&'static str>,
    host: Option<Ipv4Addr>,
    secured: Option<String>,
    network: Network,
    api_port: Option<u16>,
    user: Option<u32>,
    drain: Option<&'static str>,
}

impl BareTraefikBuilder {
    /// Sets the version; the newest is the default.
    pub fn version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }

    /// Sets `providersThrottleDuration`, which is 0 by default.
    pub fn throttle(mut self, duration: &'static str) -> Self {
        self.throttle = Some(duration);
        self
    }

    /// Sets the address; the default is a new one.
    pub fn at(mut self, host: Ipv4Addr) -> Self {
        self.host = Some(host);
        self
    }

    /// Runs Traefik in this network, where its [address](Self::at) has to be.
    pub fn within(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// Runs Traefik as the user with this number, with its API at a port of its own, so that its connections can be told from
    /// those of other Traefiks on this machine. Only root may do that.
    pub fn of_user(mut self, user: u32, api_port: u16) -> Self {
        (self.user, self.api_port) = (Some(user), Some(api_port));
        self
    }

    /// Sets how long connections may live after SIGTERM; Traefik's default is 10 s.
    pub fn drain(mut self, duration: &'static str) -> Self {
        self.drain = Some(duration);
        self
    }

    /// Closes the REST provider on the entry point `traefik`. Instead this file of a file provider publishes it on `secure`.
    pub fn secured(mut self, file: String) -> Self {
        self.secured = Some(file);
        self
    }

    /// Starts Traefik and waits until its API answers.
    pub async fn start(self) -> anyhow::Result<BareTraefik> {
        let version = self.version.unwrap_or_else(|| BareTraefik::NEWEST.to_owned());
        let binary = tools::path(&format!("traefik-{version}"))?;
        let folder = tempfile::Builder::new().prefix("ilb-bare-traefik-").tempdir()?;
        let api_port = self.api_port.unwrap_or(8080);
        let host = self.host.map_or_else(|| Net::for_this_process()?.host(), Ok)?;
        let mut arguments = vec![
            "--global.checknewversion=false".to_owned(),
            "--global.sendanonymoususage=false".to_owned(),
            "--log.level=INFO".to_owned(),
            "--api.dashboard=false".to_owned(),
            "--api.insecure=true".to_owned(),
            format!("--providers.rest.insecure={}", self.secured.is_none()),
            format!("--providers.providersthrottleduration={}", self.throttle.unwrap_or("0")),
            format!("--entrypoints.traefik.address={host}:{api_port}"),
            format!("--entrypoints.tcp.address={host}:3333"),
            format!("--entrypoints.udp.address={host}:3334/udp"),
            "--ping=true".to_owned(),
            "--metrics.prometheus=true".to_owned(),
        ];
        let drain = self.drain.map(|time| format!("--entrypoints.tcp.transport.lifecycle.gracetimeout={time}"));
        arguments.extend(drain);
        if let Some(file) = self.secured {
            let path = folder.path().join("secured.yml");
            std::fs::write(&path, file)?;
            arguments.push(format!("--providers.file.filename={}", path.display()));
            arguments.push(format!("--entrypoints.secure.address={host}:8443"));
        }
        let address = SocketAddr::from((host, api_port));
        let api = TraefikApi::new(address, address)?;
        let (network, user) = (self.network, self.user);
        let mut this =
            BareTraefik { folder, host, version, arguments, api_port, user, binary, network, process: None, api };
        this.restart().await?;
        Ok(this)
    }
}

impl BareTraefik {
    /// The version that the chart installs.
    pub const NEWEST: &str = "3.7.15";

    /// Creates the settings of a Traefik of the newest version, without throttle.
    pub fn builder() -> BareTraefikBuilder {
        BareTraefikBuilder::default()
    }

    /// Starts Traefik (again) at the same addresses and waits until its API answers.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.spawn()?;
        eventually("Traefik's API answers", async || {
            self.check_running()?;
            self.api("version").await.map(drop)
        })
        .await
    }

    /// Starts Traefik (again) without waiting for anything.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        let mut command = self.user.map_or_else(|| Command::new(&self.binary), |user| as_user(user, &self.binary));
        // A configuration file in a home directory would make Traefik ignore all of these arguments.
        command.args(&self.arguments).env("HOME", self.folder.path());
        let command = self.network.command(&command);
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

    /// Returns the value of a metric without labels.
    pub async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        self.api.metric(name).await
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        self.process.as_ref().context("Traefik does not run")?.signal(signal)
    }

    /// Returns an error, with the end of the log, unless Traefik runs.
    pub fn check_running(&mut self) -> anyhow::Result<()> {
        self.process.as_mut().context("Traefik does not run")?.check_running()
    }

    /// Returns the version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Returns the base URL.
    pub fn url(&self) -> String {
        format!("http://{}:{}", self.host, self.api_port)
    }

    /// Returns the base URL of what the file provider publishes.
    pub fn secure_url(&self) -> String {
        format!("https://{}:8443", self.host)
    }

    /// Returns the IP address.
    pub fn host(&self) -> Ipv4Addr {
        self.host
    }

    /// Returns the address that clients connect to.
    pub fn entry_point(&self) -> SocketAddr {
        (self.host, 3333).into()
    }

    /// Returns the address that clients send datagrams to.
    pub fn udp_entry_point(&self) -> SocketAddr {
        (self.host, 3334).into()
    }

    /// Returns the answer to `GET /api/PATH`.
    pub async fn api(&self, path: &str) -> anyhow::Result<serde_json::Value> {
        self.api.get(path).await
    }

    /// Returns how many times Traefik has applied a configuration.
    pub async fn reloads(&self) -> anyhow::Result<u64> {
        self.api.reloads().await
    }

    /// Returns whether Traefik's ping succeeds.
    pub async fn ping(&self) -> anyhow::Result<bool> {
        Ok(self.api.http().get(format!("{}/ping", self.url())).send().await?.status().is_success())
    }

    /// Sends a text to the REST provider, past every guard of the client. Returns the status code and the echo.
    pub async fn put_raw(&self, body: &str) -> anyhow::Result<(u16, String)> {
        let url = format!("{}/api/providers/rest", self.url());
        let answer = self.api.http().put(url).body(body.to_owned()).send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }
}

/// Returns the command that runs `binary` as another user, who may read all files as root may: the testbed may be in the home
/// directory of root. It ends with this thread, as every program of the testbed does.
fn as_user(user: u32, binary: &Path) -> Command {
    let mut command = Command::new("setpriv");
    let rights = "+dac_override,+dac_read_search";
    command.args(["--pdeathsig", "KILL", "--clear-groups", "--reuid"]).arg(user.to_string());
    command.arg(format!("--inh-caps={rights}")).arg(format!("--ambient-caps={rights}"));
    command.arg("--").arg(binary);
    command
}
