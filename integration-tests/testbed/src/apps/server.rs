//! The process of a server, its folder and its address.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context;
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::place::Place;
use crate::{Process, Signal, eventually, eventually_within};

/// Time limit for a start: one of RabbitMQ takes ten seconds of a processor, which many servers may share.
const START: Duration = Duration::from_secs(240);

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    process: Process,
    folder: TempDir,
    place: Place,
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
        place: Place,
        folder: TempDir,
        (question, answer): (&[u8], &[u8]),
    ) -> anyhow::Result<Self> {
        until_answers(&mut process, name, place.address, (question, answer)).await?;
        Ok(Self { process, folder, place, name })
    }

    /// Takes the process of a server that was started again, and waits until it answers as it did the first time.
    pub(super) async fn replace(&mut self, process: Process, (question, answer): (&[u8], &[u8])) -> anyhow::Result<()> {
        self.process = process;
        until_answers(&mut self.process, self.name, self.place.address, (question, answer)).await
    }

    /// Asks the server to exit, by the signal that it takes for that, and waits until it has.
    pub(super) async fn stop(&mut self, signal: Signal) -> anyhow::Result<()> {
        self.process.signal(signal)?;
        eventually(&format!("{} exits", self.name), async || self.process.ended()?.context("it still runs")).await?;
        Ok(())
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.place.address
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
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

/// Waits until the process answers `question` with something that begins with `answer`.
async fn until_answers(
    process: &mut Process,
    name: &str,
    address: SocketAddr,
    (question, answer): (&[u8], &[u8]),
) -> anyhow::Result<()> {
    eventually_within(START, &format!("{name} answers at {address}"), async || {
        process.check_running()?;
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(question).await?;
        let mut bytes = vec![0; answer.len()];
        stream.read_exact(&mut bytes).await?;
        anyhow::ensure!(bytes == answer, "it answers {:?}", String::from_utf8_lossy(&bytes));
        Ok(())
    })
    .await
}

/// A server that runs until it is stopped or killed.
pub trait Running {
    /// Asks it to exit, as the kubelet does, and waits until it has.
    fn stop(&mut self) -> impl Future<Output = anyhow::Result<()>>;

    /// Kills it with SIGKILL.
    fn kill(&mut self) -> anyhow::Result<()>;
}

/// Gives a type with the field `server` what every server has: `address`, `log`, `check_running`, and [`Running`], with the
/// signal at which it exits.
macro_rules! common_methods {
    ($server:ty, $signal:expr) => {
        impl $server {
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
        }

        impl $crate::apps::Running for $server {
            async fn stop(&mut self) -> anyhow::Result<()> {
                self.server.stop($signal).await
            }

            fn kill(&mut self) -> anyhow::Result<()> {
                self.server.process().kill()
            }
        }
    };
}
pub(super) use common_methods;
