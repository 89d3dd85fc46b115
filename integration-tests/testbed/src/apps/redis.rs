//! A real Redis.

use std::{net::SocketAddr, process::Command};

use super::server::{Server, common_methods, new_folder};
use crate::{Process, tools};

/// A Redis that stores nothing on disk.
#[derive(Debug)]
pub struct Redis {
    server: Server,
}

impl Redis {
    /// Starts Redis at this address, and waits until it answers.
    pub async fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let (folder, log) = new_folder("redis")?;
        let mut command = Command::new(tools::path("redis-server")?);
        command.args(["--bind", &address.ip().to_string(), "--port", &address.port().to_string()]);
        command.args(["--protected-mode", "no", "--save", "", "--appendonly", "no", "--dir"]).arg(folder.path());
        let process = Process::start("redis", &command, &log)?;
        let exchange = (b"PING\r\n".as_slice(), b"+PONG".as_slice());
        Ok(Self { server: Server::from_process(process, "redis", address, folder, exchange).await? })
    }

    common_methods!();
}
