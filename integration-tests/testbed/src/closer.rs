//! `ilb closer` in a process of its own, with chosen privileges.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use serde_json::Value;
use tempfile::TempDir;

use crate::{Ilb, LogLine, Network, Process, eventually};

/// `ilb closer` in a process of its own.
#[derive(Debug)]
pub struct CloserProcess {
    folder: TempDir,
    command: Command,
    process: Process,
}

/// The privileges of a [`CloserProcess`].
#[derive(Clone, Copy, Debug)]
pub struct Privileges<'a> {
    /// Arguments of `setpriv`, which starts the program.
    pub setpriv: &'a [&'a str],
    /// Capabilities of the file, as `setcap` writes them.
    pub file: Option<&'a str>,
}

impl Privileges<'_> {
    /// Privileges of root in a container with `capabilities: {drop: [ALL], add: [NET_ADMIN]}` and without privilege escalation.
    pub const ROOT_WITH_NET_ADMIN: Self =
        Self { setpriv: &["--no-new-privs", "--inh-caps=-all", "--bounding-set=-all,+net_admin"], file: None };
}

impl CloserProcess {
    /// Starts `ilb closer` with these flags, and waits until it serves. It follows the orders of this user, and logs each of
    /// them unless the flags name another level.
    pub async fn start(privileges: Privileges<'_>, flags: &[&str]) -> anyhow::Result<Self> {
        Self::start_within(&Network::default(), privileges, flags).await
    }

    /// Starts `ilb closer` in this network.
    pub async fn start_within(network: &Network, privileges: Privileges<'_>, flags: &[&str]) -> anyhow::Result<Self> {
        Self::launch(network.command(&Command::new("setpriv")), privileges, flags).await
    }

    /// Starts `ilb closer` where it sees no other process, as in a container of its own.
    pub async fn start_apart(privileges: Privileges<'_>, flags: &[&str]) -> anyhow::Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--", "setpriv"]);
        Self::launch(command, privileges, flags).await
    }

    async fn launch(mut command: Command, privileges: Privileges<'_>, flags: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("ilb-closer-").tempdir()?;
        // Whoever runs it creates the socket there.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777))?;
        let binary = match privileges.file {
            None => Ilb::build()?,
            Some(capabilities) => with_capabilities(capabilities, folder.path())?,
        };
        let user = rustix::process::geteuid().as_raw().to_string();
        command.args(privileges.setpriv).arg("--").arg(binary);
        command.args(["closer", "--client-uid", &user]);
        if !flags.iter().any(|flag| flag.starts_with("--log-level")) {
            command.arg("--log-level=debug");
        }
        command.arg("--socket").arg(folder.path().join("socket")).args(flags);
        let process = Process::start("ilb closer", &command, &folder.path().join("closer.log"))?;
        let mut this = Self { folder, command, process };
        eventually("the closer says what it can do", async || {
            this.process.check_running()?;
            this.ability().map(drop)
        })
        .await?;
        Ok(this)
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()
    }

    /// Starts it again, after it was [killed](Self::kill), and waits for nothing.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        self.process = Process::start("ilb closer", &self.command, &self.folder.path().join("closer.log"))?;
        Ok(())
    }

    /// Returns the log lines of the connections that it closed.
    pub fn closed(&self) -> anyhow::Result<Vec<LogLine>> {
        let is_closed = |line: &LogLine| line["outcome"] == "Closed";
        Ok(self.log()?.into_iter().filter(is_closed).collect())
    }

    /// Returns the path of its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// Returns `None` if it can close connections, and the reason if it cannot: as it logged at its start.
    pub fn ability(&self) -> anyhow::Result<Option<String>> {
        let lines = self.log()?;
        let find =
            |message: &str| lines.iter().find(|line| line["message"].as_str().is_some_and(|m| m.starts_with(message)));
        match (find("Can close connections"), find("Cannot close connections")) {
            (Some(_), None) => Ok(None),
            (None, Some(line)) => Ok(Some(line["reason"].as_str().context("no reason")?.to_owned())),
            _ => anyhow::bail!("nothing is logged: {lines:?}"),
        }
    }

    /// Returns the lines of its log.
    pub fn log(&self) -> anyhow::Result<Vec<LogLine>> {
        let text = fs::read_to_string(self.folder.path().join("closer.log"))?;
        text.lines().map(|line| serde_json::from_str::<Value>(line).with_context(|| line.to_owned())).collect()
    }

    /// Returns the running process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// Copies the binary into `folder`, and gives the copy these capabilities.
fn with_capabilities(capabilities: &str, folder: &Path) -> anyhow::Result<PathBuf> {
    let copy = folder.join("ilb");
    fs::copy(Ilb::build()?, &copy)?;
    let status = Command::new("setcap").arg(capabilities).arg(&copy).status().context("cannot run setcap")?;
    ensure!(status.success(), "setcap {capabilities} failed");
    Ok(copy)
}
