//! A real PostgreSQL.

use std::{
    fs::{self, File},
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::chown,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, ensure};
use tempfile::TempDir;

use super::{
    place::Place,
    server::{Server, common_methods, new_folder},
};
use crate::{Process, Signal, process::End, tools};

/// A PostgreSQL with the database and the user `postgres`, who needs no password.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    /// Command that starts it again on the same data.
    command: Command,
}

/// User that runs it if the tests run as root, which PostgreSQL refuses.
const NOBODY: u32 = 65534;

/// First packet of a session: its length, version 3.0 of the protocol, and who it is.
pub(super) const STARTUP: &[u8; 41] = b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0";
/// The acceptance, without a password.
pub(super) const ACCEPTED: &[u8] = &[b'R', 0, 0, 0, 8, 0, 0, 0, 0];
/// Beginning of an error, such as that it is starting up.
const REFUSED: &[u8] = b"E";
/// Lets everybody in from any address.
const ACCESS: &str = "host all,replication all all trust\n";

impl Postgres {
    /// Creates a database at this address, and waits until it answers.
    pub async fn start(place: impl Into<Place>) -> anyhow::Result<Self> {
        Self::with(place, &[]).await
    }

    /// Creates a database with more parameters, such as `("max_connections", "10")`.
    pub async fn with(place: impl Into<Place>, parameters: &[(&str, &str)]) -> anyhow::Result<Self> {
        let (folder, log) = new_data_folder("postgres")?;
        let data = folder.path().join("data");
        create_cluster(&data).await?;
        Self::run(place.into(), parameters, (folder, log), ACCEPTED).await
    }

    /// Copies the database of the primary at `primary`, and starts a standby that streams from it.
    pub async fn standby(
        place: impl Into<Place>,
        primary: SocketAddr,
        parameters: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        Self::copy(place.into(), primary, parameters, ACCEPTED).await
    }

    /// Starts a standby that is not ready for its clients, and tells them so, as one does that is still starting up.
    pub async fn standby_that_starts_up(
        place: impl Into<Place>,
        primary: SocketAddr,
        parameters: &[(&str, &str)],
    ) -> anyhow::Result<Self> {
        let parameters: Vec<_> = parameters.iter().copied().chain([("hot_standby", "off")]).collect();
        Self::copy(place.into(), primary, &parameters, REFUSED).await
    }

    async fn copy(
        place: Place,
        primary: SocketAddr,
        parameters: &[(&str, &str)],
        answer: &[u8],
    ) -> anyhow::Result<Self> {
        let (folder, log) = new_data_folder("postgres")?;
        let mut command = as_nobody("pg_basebackup")?;
        command.args(["--no-sync", "--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf"]);
        command
            .args(["-U", "postgres", "-D"])
            .arg(folder.path().join("data"))
            .args(["-d", &conninfo(place.address, primary)]);
        output(place.command(&command), "pg_basebackup").await?;
        Self::run(place, parameters, (folder, log), answer).await
    }

    async fn run(
        place: Place,
        parameters: &[(&str, &str)],
        (folder, log): (TempDir, PathBuf),
        answer: &[u8],
    ) -> anyhow::Result<Self> {
        let mut command = as_nobody("postgres")?;
        command.arg("-D").arg(folder.path().join("data"));
        command.args(["-h", &place.address.ip().to_string(), "-p", &place.address.port().to_string()]);
        // Nothing survives the test, so nothing has to reach the disk.
        let always = [
            ("unix_socket_directories", ""),
            ("fsync", "off"),
            ("full_page_writes", "off"),
            ("jit", "off"),
            ("dynamic_shared_memory_type", "mmap"),
        ];
        for (name, value) in always.iter().chain(parameters) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        let command = place.command(&command);
        // At this signal it ends all of its processes at once, and removes its shared memory.
        let process = Process::start_to_end_by(End::Quit, "postgres", &command, &log)?;
        let server = Server::from_process(process, "postgres", place, folder, (STARTUP, answer)).await?;
        Ok(Self { server, command })
    }

    /// Makes this one a standby of another primary: at once if it is a standby, at its next start if it is stopped.
    pub fn follow(&self, primary: SocketAddr) -> anyhow::Result<()> {
        let data = self.server.folder().join("data");
        let line = format!("primary_conninfo = '{}'\n", conninfo(self.address(), primary));
        File::options().append(true).open(data.join("postgresql.auto.conf"))?.write_all(line.as_bytes())?;
        let signal = data.join("standby.signal");
        File::create(&signal)?;
        give_away(&signal)
    }

    /// Starts it again on the same data, after it was stopped or killed.
    pub async fn start_again(&mut self) -> anyhow::Result<()> {
        // What a killed one left.
        let _ = fs::remove_file(self.server.folder().join("data/postmaster.pid"));
        let log = self.server.folder().join("log");
        let process = Process::start_to_end_by(End::Quit, "postgres", &self.command, &log)?;
        self.server.replace(process, (STARTUP, ACCEPTED)).await
    }

    /// Executes a statement with psql, past all balancers. Returns its rows, with `|` between the columns.
    pub async fn sql(&self, statement: &str) -> anyhow::Result<String> {
        let (host, port) = (self.address().ip().to_string(), self.address().port().to_string());
        let mut command = Command::new(tools::path("psql")?);
        command.args(["-XAtq", "-h", &host, "-p", &port, "-U", "postgres", "-d", "postgres", "-c", statement]);
        Ok(output(self.server.place().command(&command), "psql").await?.trim_end().to_owned())
    }
}

// A fast shutdown, as images of PostgreSQL ask for (`STOPSIGNAL`). At SIGTERM it would wait for its clients to disconnect.
common_methods!(Postgres, Signal::INT);

/// Creates a folder of the user that runs PostgreSQL.
pub(super) fn new_data_folder(name: &str) -> anyhow::Result<(TempDir, PathBuf)> {
    let (folder, log) = new_folder(name)?;
    give_away(folder.path())?;
    Ok((folder, log))
}

/// Gives a file to the user that runs PostgreSQL.
pub(super) fn give_away(path: &Path) -> anyhow::Result<()> {
    if rustix::process::geteuid().is_root() {
        chown(path, Some(NOBODY), Some(NOBODY))?;
    }
    Ok(())
}

/// Returns how the standby at `address` connects to `primary`.
fn conninfo(address: SocketAddr, primary: SocketAddr) -> String {
    format!(
        "host={} port={} user=postgres sslmode=disable application_name={}",
        primary.ip(),
        primary.port(),
        address.ip()
    )
}

async fn create_cluster(data: &Path) -> anyhow::Result<()> {
    let mut command = as_nobody("initdb")?;
    command.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D"]).arg(data);
    output(command, "initdb").await?;
    Ok(fs::write(data.join("pg_hba.conf"), ACCESS)?)
}

/// Runs a program to its end, and returns what it prints.
pub(super) async fn output(command: Command, name: &str) -> anyhow::Result<String> {
    let output = tokio::process::Command::from(command).output().await.with_context(|| format!("cannot run {name}"))?;
    ensure!(output.status.success(), "{name} failed:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// Returns the command that runs this program, as another user if this one is root.
///
/// That user may read every file, because the programs may be below the home directory of root. Without the secure bit,
/// `access(2)`, by which the programs look for each other, would not take that into account.
pub(super) fn as_nobody(program: &str) -> anyhow::Result<Command> {
    let path = tools::path(program)?;
    if !rustix::process::geteuid().is_root() {
        return Ok(Command::new(path));
    }
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={NOBODY}"), &format!("--regid={NOBODY}"), "--clear-groups"]);
    // The change of user undoes what was asked for before it.
    command.args(["--pdeathsig=QUIT"]);
    command.args(["--securebits=+no_setuid_fixup", "--inh-caps=-all,+dac_read_search"]);
    command.args(["--ambient-caps=-all,+dac_read_search", "--"]).arg(path).current_dir("/");
    Ok(command)
}
