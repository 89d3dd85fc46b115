//! A real Redis.

use std::{net::SocketAddr, process::Command};

use super::{
    place::Place,
    server::{Server, common_methods, new_folder},
};
use crate::{Process, Signal, tools};

/// A Redis that stores nothing on disk.
#[derive(Debug)]
pub struct Redis {
    server: Server,
}

impl Redis {
    /// Starts Redis at this address, and waits until it answers.
    pub async fn start(place: impl Into<Place>) -> anyhow::Result<Self> {
        Self::with(place, &[]).await
    }

    /// Starts a replica of the Redis at `primary`, and waits until it answers.
    pub async fn replica_of(place: impl Into<Place>, primary: SocketAddr) -> anyhow::Result<Self> {
        let place = place.into();
        let address = place.address;
        let (host, port) = (primary.ip().to_string(), primary.port().to_string());
        Self::with(place, &["--replicaof", &host, &port, "--replica-announce-ip", &address.ip().to_string()]).await
    }

    async fn with(place: impl Into<Place>, more: &[&str]) -> anyhow::Result<Self> {
        let place = place.into();
        let address = place.address;
        let (folder, log) = new_folder("redis")?;
        let mut command = Command::new(tools::path("redis-server")?);
        command.args(["--bind", &address.ip().to_string(), "--port", &address.port().to_string()]);
        command.args(["--protected-mode", "no", "--save", "", "--appendonly", "no", "--dir"]).arg(folder.path());
        // Replicas that join get the data without a file, and without a pause in which others could join too.
        command.args([
            "--repl-diskless-sync",
            "yes",
            "--repl-diskless-sync-delay",
            "0",
            "--repl-diskless-load",
            "swapdb",
        ]);
        command.args(more);
        let process = Process::start("redis", &place.command(&command), &log)?;
        let exchange = (b"PING\r\n".as_slice(), b"+PONG".as_slice());
        Ok(Self { server: Server::from_process(process, "redis", place, folder, exchange).await? })
    }
}

common_methods!(Redis, Signal::TERM);
