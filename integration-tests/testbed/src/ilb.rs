//! The real binary of this checkout.

use std::{
    fs,
    io::PipeWriter,
    path::PathBuf,
    process::{Command, ExitStatus},
    sync::OnceLock,
    time::Duration,
};

use anyhow::Context;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::{Net, Network, Process, eventually, in_checkout};

/// A running ilb, built from this checkout.
#[derive(Debug)]
pub struct Ilb {
    folder: TempDir,
    command: Command,
    process: Process,
}

/// Variable with the path of a binary that has been built already.
const BINARY_VARIABLE: &str = "ILB_TESTBED_BINARY";

/// A line of the log of ilb.
pub type LogLine = serde_json::Value;

/// The end of a run that exits by itself.
#[derive(Debug)]
pub struct Exit {
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output and standard error.
    pub output: String,
}

/// The outcome of a subcommand.
#[derive(Debug)]
pub struct Answer {
    /// Exit code; `None` after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ilb {
    /// Starts ilb with these environment variables. No other variable of ilb reaches it.
    pub fn start(variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::start_within(&Network::default(), variables)
    }

    /// Starts ilb in this network.
    pub fn start_within(network: &Network, variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("ilb-").tempdir()?;
        let command = network.command(&command(variables)?);
        let process = Process::start("ilb", &command, &folder.path().join("ilb.log"))?;
        Ok(Self { folder, command, process })
    }

    /// Starts ilb with its log in a pipe instead of a file.
    pub fn start_into(output: PipeWriter, variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("ilb-").tempdir()?;
        let command = command(variables)?;
        let process = Process::start_into("ilb", &command, output)?;
        Ok(Self { folder, command, process })
    }

    /// Builds the binary, which otherwise happens at the first start. Returns its path.
    pub fn build() -> anyhow::Result<PathBuf> {
        binary()
    }

    /// Makes `command`, a program of the testbed, run the binary of this process instead of building one.
    pub fn share_with(command: &mut Command) -> anyhow::Result<()> {
        command.env(BINARY_VARIABLE, binary()?);
        Ok(())
    }

    /// Runs ilb with these environment variables until it exits by itself.
    pub async fn run_to_end(variables: &[(&str, &str)]) -> anyhow::Result<Exit> {
        let mut this = Self::start(variables)?;
        let status = this.end().await?;
        Ok(Exit { code: status.code(), output: this.output()? })
    }

    /// Runs a subcommand, such as `["status"]`, with the variables of this ilb.
    pub async fn ask(&self, arguments: &[&str]) -> anyhow::Result<Answer> {
        Self::answer(&self.command, arguments).await
    }

    /// Runs a subcommand with these variables, without a running ilb.
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
        let output = command.args(like.get_args()).args(arguments).kill_on_drop(true).output();
        let output =
            tokio::time::timeout(Duration::from_secs(60), output).await.context("the subcommand does not exit")??;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Answer { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) })
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        self.process.signal(signal)
    }

    /// Kills ilb with SIGKILL and starts it again with the same settings.
    pub fn kill_and_restart(&mut self) -> anyhow::Result<()> {
        self.kill()?;
        self.start_again()
    }

    /// Kills ilb with SIGKILL.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// Starts ilb again with the same settings, after it has exited.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        self.process = Process::start("ilb", &self.command, &self.folder.path().join("ilb.log"))?;
        Ok(())
    }

    /// Sends SIGTERM and waits until ilb has exited.
    pub async fn terminate(&mut self) -> anyhow::Result<ExitStatus> {
        self.process.signal(Signal::TERM)?;
        self.end().await
    }

    /// Waits until ilb has exited.
    pub async fn end(&mut self) -> anyhow::Result<ExitStatus> {
        eventually("ilb exits", async || self.process.ended()?.context("it still runs")).await
    }

    /// Returns an error, with the end of the log, unless ilb still runs.
    pub fn check_running(&mut self) -> anyhow::Result<()> {
        self.process.check_running()
    }

    /// Returns the running process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Returns standard output and standard error so far.
    pub fn output(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(self.folder.path().join("ilb.log"))?)
    }

    /// Returns the lines of the log so far whose message is `message`.
    pub fn logged(&self, message: &str) -> anyhow::Result<Vec<LogLine>> {
        let output = self.output()?;
        let lines = output.lines().map(|line| serde_json::from_str(line).with_context(|| format!("not JSON: {line}")));
        let lines = lines.collect::<anyhow::Result<Vec<LogLine>>>()?;
        Ok(lines.into_iter().filter(|line| line["message"] == message).collect())
    }

    /// Waits until `message` has been logged, and returns the first such line.
    pub async fn wait_for_log(&self, message: &str) -> anyhow::Result<LogLine> {
        eventually(message, async || self.logged(message)?.into_iter().next().context("not logged yet")).await
    }
}

/// Returns the command that runs the binary with these variables. What the caller's environment has for a real cluster does
/// not reach it.
fn command(variables: &[(&str, &str)]) -> anyhow::Result<Command> {
    let mut command = Command::new(binary()?);
    without_settings(&mut command);
    // The default is one port on all interfaces, which tests that run side by side cannot share.
    command.env("ILB_ADMIN_ADDRESS", format!("{}:8081", Net::for_this_process()?.host()?));
    command.envs(variables.iter().copied());
    Ok(command)
}

/// Removes the settings of ilb, and those of the testbed that look alike, from the environment of `command`.
pub fn without_settings(command: &mut Command) {
    let is_setting =
        |name: &str| ["POD_", "ILB_", "KUBE", "TRAEFIK_", "LOG_"].iter().any(|prefix| name.starts_with(prefix));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_setting)) {
        command.env_remove(name);
    }
}

/// Builds the binary, so that no test ever runs a stale one.
fn binary() -> anyhow::Result<PathBuf> {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let build = || {
        let build = escargot::CargoBuild::new().bin("ilb");
        let build = if cfg!(feature = "whole-workspace") {
            // With a test target the features of dev-dependencies count too, as they do for `cargo test --workspace`.
            build.manifest_path(in_checkout("Cargo.toml")).arg("--workspace").all_features().test("chart")
        } else {
            build.manifest_path(in_checkout("ilb-bin/Cargo.toml"))
        };
        let build = if cfg!(debug_assertions) { build } else { build.release() };
        // What cargo tells a test about its package would reach the build script of `ring`, which then runs again: everything
        // above it would be compiled twice in each run of the tests.
        let of_test = |name: &String| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        let build = names.filter(of_test).fold(build, escargot::CargoBuild::env_remove);
        build.run().map(|run| run.path().to_owned()).map_err(|e| e.to_string())
    };
    if let Some(built) = std::env::var_os(BINARY_VARIABLE) {
        return Ok(built.into());
    }
    BINARY.get_or_init(build).clone().map_err(|e| anyhow::anyhow!("cannot build ilb: {e}"))
}
