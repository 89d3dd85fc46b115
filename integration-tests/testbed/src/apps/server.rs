//! The process of a server, its folder and its address.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{Process, eventually};

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    process: Process,
    folder: TempDir,
    address: SocketAddr,
    name: &'static str,
}

/// Creates a folder for a server. Returns it, with the path of the log in it.
pub(super) fn new_folder(name: &str) -> anyhow::Result<(TempDir, PathBuf)> {
    let folder = tempfile::Builder::new().prefix(&format!("ilb-{name}-")).tempdir()?;
    let log = folder.path().join("log");
    Ok((folder, log))
}

impl Server {
    /// Waits until the server answers `question` with something that begins with `answer`.
    pub(super) async fn from_process(
        mut process: Process,
        name: &'static str,
        address: SocketAddr,
        folder: TempDir,
        (question, answer): (&[u8], &[u8]),
    ) -> anyhow::Result<Self> {
        eventually(&format!("{name} answers at {address}"), async || {
            process.check_running()?;
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(question).await?;
            let mut bytes = vec![0; answer.len()];
            stream.read_exact(&mut bytes).await?;
            anyhow::ensure!(bytes == answer, "it answers {:?}", String::from_utf8_lossy(&bytes));
            Ok(())
        })
        .await?;
        Ok(Self { process, folder, address, name })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(super) fn log(&self) -> anyhow::Result<String> {
        let path = self.folder().join("log");
        fs::read_to_string(&path).with_context(|| format!("{} has no log at {}", self.name, path.display()))
    }

    pub(super) fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

/// Adds what every server has to the type of one: `address`, `log`, `check_running` and `kill`.
macro_rules! common_methods {
    () => {
        /// Returns the address at which it serves.
        pub fn address(&self) -> std::net::SocketAddr {
            self.server.address()
        }

        /// Returns what it has logged.
        pub fn log(&self) -> anyhow::Result<String> {
            self.server.log()
        }

        /// Returns an error, with the end of the log, if it has exited.
        pub fn check_running(&mut self) -> anyhow::Result<()> {
            self.server.process().check_running()
        }

        /// Kills it with SIGKILL.
        pub fn kill(&mut self) -> anyhow::Result<()> {
            self.server.process().kill()
        }
    };
}
pub(super) use common_methods;
