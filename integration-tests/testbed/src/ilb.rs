use std::{
    fs,
    path::PathBuf,
    process::{Command, ExitStatus},
    sync::OnceLock,
    time::Duration,
};

use anyhow::Context;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::{Net, Process, eventually};

/// The real binary, as it is in this checkout.
pub struct Ilb {
    folder: TempDir,
    command: Command,
    process: Process,
}

/// One line of its log.
pub type LogLine = serde_json::Value;

/// How a run ended that was meant to end by itself.
#[derive(Debug)]
pub struct Exit {
    /// The exit code.
    pub code: Option<i32>,
    /// What it said.
    pub output: String,
}

/// What a command said that ended by itself.
#[derive(Debug)]
pub struct Answer {
    /// The exit code.
    pub code: Option<i32>,
    /// Its output.
    pub stdout: String,
    /// Its complaints.
    pub stderr: String,
}

impl Ilb {
    /// Starts it with these variables and no other of ours.
    pub fn start(variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("ilb-").tempdir()?;
        let command = command(variables)?;
        let process = Process::start("ilb", &command, &folder.path().join("ilb.log"))?;
        Ok(Self { folder, command, process })
    }

    /// Builds the binary, which else happens at the first start.
    pub fn build() -> anyhow::Result<PathBuf> {
        binary()
    }

    /// Runs it with these variables until it ends by itself.
    pub async fn run_to_end(variables: &[(&str, &str)]) -> anyhow::Result<Exit> {
        let mut this = Self::start(variables)?;
        let status = this.end().await?;
        Ok(Exit { code: status.code(), output: this.output()? })
    }

    /// Runs a command of it, such as `["status"]`, with the same variables until it ends by itself.
    pub async fn ask(&self, arguments: &[&str]) -> anyhow::Result<Answer> {
        Self::answer(&self.command, arguments).await
    }

    /// The same without one that runs, with these variables.
    pub async fn ask_with(variables: &[(&str, &str)], arguments: &[&str]) -> anyhow::Result<Answer> {
        Self::answer(&command(variables)?, arguments).await
    }

    async fn answer(like: &Command, arguments: &[&str]) -> anyhow::Result<Answer> {
        let mut command = tokio::process::Command::new(like.get_program());
        for (name, value) in like.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let output = command.args(arguments).kill_on_drop(true).output();
        let output = tokio::time::timeout(Duration::from_secs(60), output).await.context("it does not end")??;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Answer { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) })
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        self.process.signal(signal)
    }

    /// Kills it with SIGKILL and starts it again with the same settings.
    pub fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process = Process::start("ilb", &self.command, &self.folder.path().join("ilb.log"))?;
        Ok(())
    }

    /// Asks it to end with SIGTERM, and waits for that.
    pub async fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.process.signal(Signal::TERM)?;
        self.end().await
    }

    /// Waits until it has ended.
    pub async fn end(&mut self) -> anyhow::Result<ExitStatus> {
        eventually("ilb ends", async || self.process.ended()?.context("it still runs")).await
    }

    /// Whether it still runs, with what it said last if not.
    pub fn check_running(&mut self) -> anyhow::Result<()> {
        self.process.check_running()
    }

    /// The running process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// All that it said so far.
    pub fn output(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.folder.path().join("ilb.log"))?)
    }

    /// The lines of its log so far whose message is `message`.
    pub fn logged(&self, message: &str) -> anyhow::Result<Vec<LogLine>> {
        let output = self.output()?;
        let lines = output.lines().map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}")));
        let lines = lines.collect::<anyhow::Result<Vec<LogLine>>>()?;
        Ok(lines.into_iter().filter(|line| line["message"] == message).collect())
    }

    /// Waits until its log holds `message`, and returns the first such line.
    pub async fn wait_for_log(&self, message: &str) -> anyhow::Result<LogLine> {
        eventually(message, async || self.logged(message)?.into_iter().next().context("not logged yet")).await
    }
}

/// The binary with these variables. What the caller's environment holds for a real cluster does not reach it.
fn command(variables: &[(&str, &str)]) -> anyhow::Result<Command> {
    let mut command = Command::new(binary()?);
    for (name, _) in std::env::vars_os() {
        let ours = name
            .to_str()
            .is_some_and(|n| ["POD_", "ILB_", "KUBE", "TRAEFIK_", "LOG_"].iter().any(|p| n.starts_with(p)));
        if ours {
            command.env_remove(name);
        }
    }
    // Its default is all interfaces, and one port for all: a run of tests has neither.
    command.env("ILB_ADMIN_ADDRESS", format!("{}:8081", Net::of_this_process()?.host()?));
    command.envs(variables.iter().copied());
    Ok(command)
}

/// Builds the binary, so that no test ever runs a stale one.
fn binary() -> anyhow::Result<PathBuf> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let build = || {
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../../ilb-bin/Cargo.toml");
        let build = escargot::CargoBuild::new().manifest_path(manifest).bin("ilb");
        let build = if cfg!(debug_assertions) { build } else { build.release() };
        build.run().map(|run| run.path().to_owned()).map_err(|e| e.to_string())
    };
    BINARY.get_or_init(build).clone().map_err(|e| anyhow::anyhow!("cannot build ilb: {e}"))
}
