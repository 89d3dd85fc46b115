//! A real PostgreSQL.

use std::{fs, net::SocketAddr, os::unix::fs::chown, path::Path, process::Command};

use anyhow::{Context, ensure};

use super::server::{Server, common_methods, new_folder};
use crate::{Process, process::End, tools};

/// A PostgreSQL with the database and the user `postgres`, who needs no password.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
}

/// User that runs it if the tests run as root, which PostgreSQL refuses.
const NOBODY: u32 = 65534;

/// First packet of a session: its length, version 3.0 of the protocol, and who it is.
const STARTUP: &[u8; 41] = b"\0\0\0\x29\0\x03\0\0user\0postgres\0database\0postgres\0\0";
/// The acceptance, without a password.
const ACCEPTED: [u8; 9] = [b'R', 0, 0, 0, 8, 0, 0, 0, 0];
/// Lets everybody in from any address.
const ACCESS: &str = "host all,replication all all trust\n";

impl Postgres {
    /// Creates a database at this address, and waits until it answers.
    pub async fn start(address: SocketAddr) -> anyhow::Result<Self> {
        Self::with(address, &[]).await
    }

    /// Creates a database with more parameters, such as `("max_connections", "10")`.
    pub async fn with(address: SocketAddr, parameters: &[(&str, &str)]) -> anyhow::Result<Self> {
        let (folder, log) = new_folder("postgres")?;
        if rustix::process::geteuid().is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY))?;
        }
        let data = folder.path().join("data");
        create_cluster(&data).await?;
        let mut command = as_nobody("postgres")?;
        command.arg("-D").arg(&data).args(["-h", &address.ip().to_string(), "-p", &address.port().to_string()]);
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
        let exchange = (STARTUP.as_slice(), ACCEPTED.as_slice());
        // At this signal it ends all of its processes at once, and removes its shared memory.
        let process = Process::start_to_end_by(End::Quit, "postgres", &command, &log)?;
        let server = Server::from_process(process, "postgres", address, folder, exchange).await?;
        Ok(Self { server })
    }

    common_methods!();
}

async fn create_cluster(data: &Path) -> anyhow::Result<()> {
    let mut command = as_nobody("initdb")?;
    command.args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D"]).arg(data);
    let output = tokio::process::Command::from(command).output().await.context("cannot run initdb")?;
    ensure!(output.status.success(), "initdb failed:\n{}", String::from_utf8_lossy(&output.stderr));
    Ok(fs::write(data.join("pg_hba.conf"), ACCESS)?)
}

/// Returns the command that runs this program, as another user if this one is root.
///
/// That user may read every file, because the programs may be below the home directory of root. Without the secure bit,
/// `access(2)`, by which the programs look for each other, would not take that into account.
fn as_nobody(program: &str) -> anyhow::Result<Command> {
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
