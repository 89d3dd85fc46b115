//! A real MQTT broker.

use std::{fs, net::SocketAddr, process::Command};

use super::server::{Server, common_methods, new_folder};
use crate::{Process, tools};

/// A mosquitto that lets everybody in, and keeps the sessions of clients in memory.
#[derive(Debug)]
pub struct Mosquitto {
    server: Server,
}

/// Packet `CONNECT` of MQTT 3.1.1 with a clean session, an identifier given by the server, and a keep-alive of 10 seconds.
const CONNECT: [u8; 14] = [0x10, 12, 0, 4, b'M', b'Q', b'T', b'T', 4, 2, 0, 10, 0, 0];
/// Packet `CONNACK`: accepted, without an older session.
const ACCEPTED: [u8; 4] = [0x20, 2, 0, 0];

impl Mosquitto {
    /// Starts mosquitto at this address, and waits until it answers.
    pub async fn start(address: SocketAddr) -> anyhow::Result<Self> {
        let (folder, log) = new_folder("mosquitto")?;
        let settings = folder.path().join("mosquitto.conf");
        // Started as root it would become a user of the package, which is not installed.
        let text = format!(
            "listener {} {}\nallow_anonymous true\nuser root\nlog_type all\nmax_queued_messages 0\n",
            address.port(),
            address.ip()
        );
        fs::write(&settings, text)?;
        let mut command = Command::new(tools::path("mosquitto")?);
        command.arg("-c").arg(settings);
        let process = Process::start("mosquitto", &command, &log)?;
        let exchange = (CONNECT.as_slice(), ACCEPTED.as_slice());
        Ok(Self { server: Server::from_process(process, "mosquitto", address, folder, exchange).await? })
    }

    common_methods!();
}
