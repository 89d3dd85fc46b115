//! A real NATS server.

use std::{net::SocketAddr, process::Command};

use super::server::{Server, common_methods, new_folder};
use crate::{Process, tools};

/// A NATS server without `JetStream`: what nobody receives at once is gone.
#[derive(Debug)]
pub struct Nats {
    server: Server,
}

impl Nats {
    /// Starts the server at this address, and waits until it answers.
    pub async fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let (folder, log) = new_folder("nats")?;
        let mut command = Command::new(tools::path("nats-server")?);
        command.args(["--addr", &address.ip().to_string(), "--port", &address.port().to_string()]);
        let process = Process::start("nats-server", &command, &log)?;
        // The server speaks first.
        let exchange = (b"".as_slice(), b"INFO {".as_slice());
        Ok(Self { server: Server::from_process(process, "nats-server", address, folder, exchange).await? })
    }

    common_methods!();
}
