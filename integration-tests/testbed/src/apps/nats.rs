//! A real NATS server.

use std::{fs, net::SocketAddr, process::Command};

use super::{
    place::Place,
    server::{Server, common_methods, new_folder},
};
use crate::{Process, Signal, tools};

/// A NATS server without `JetStream`: what nobody receives at once is gone.
#[derive(Debug)]
pub struct Nats {
    server: Server,
}

/// Port by which servers of a cluster reach each other.
const CLUSTER_PORT: u16 = 6222;

impl Nats {
    /// Starts the server at this address, and waits until it answers.
    pub async fn start(place: impl Into<Place>) -> anyhow::Result<Self> {
        Self::with(place, &[]).await
    }

    /// Starts a server of a cluster, which reaches the others by that at `seed`; the first one is its own seed. Clients are not
    /// told the addresses of the other servers, so that they come back by the address that they were given.
    pub async fn of_cluster(place: impl Into<Place>, seed: SocketAddr) -> anyhow::Result<Self> {
        let place = place.into();
        let address = place.address;
        let cluster = format!("nats://{}:{CLUSTER_PORT}", address.ip());
        let seed = format!("nats://{}:{CLUSTER_PORT}", seed.ip());
        Self::with(place, &["--cluster", &cluster, "--cluster_name", "tests", "--routes", &seed, "--no_advertise"])
            .await
    }

    /// Lets it enter lame duck mode (SIGUSR2), and waits until it has exited: it accepts no more clients, asks those that it has
    /// to leave, and ends their connections one after the other, over half a minute.
    pub async fn lame_duck(&mut self) -> anyhow::Result<()> {
        self.server.stop(Signal::USR2).await
    }

    async fn with(place: impl Into<Place>, more: &[&str]) -> anyhow::Result<Self> {
        let place = place.into();
        let address = place.address;
        let (folder, log) = new_folder("nats")?;
        let settings = folder.path().join("nats.conf");
        // The shortest times that it takes.
        fs::write(&settings, "lame_duck_duration: \"30s\"\nlame_duck_grace_period: \"1s\"\n")?;
        let mut command = Command::new(tools::path("nats-server")?);
        command.arg("--config").arg(settings);
        command.args(["--addr", &address.ip().to_string(), "--port", &address.port().to_string()]);
        command.args(more);
        let process = Process::start("nats-server", &place.command(&command), &log)?;
        // The server speaks first.
        let exchange = (b"".as_slice(), b"INFO {".as_slice());
        Ok(Self { server: Server::from_process(process, "nats-server", place, folder, exchange).await? })
    }
}

common_methods!(Nats, Signal::TERM);
