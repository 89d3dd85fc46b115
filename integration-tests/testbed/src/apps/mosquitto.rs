//! A real MQTT broker.

use std::{fs, net::SocketAddr, process::Command};

use super::{
    place::Place,
    server::{Server, common_methods, new_folder},
};
use crate::{Process, Signal, tools};

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
    pub async fn start(place: impl Into<Place>) -> anyhow::Result<Self> {
        Self::with(place, "").await
    }

    /// Starts a mosquitto that passes on what is published to it, with at least `QoS 1`, to the one at `hub`. What it has
    /// confirmed and not passed on yet is stored on its disk after each change.
    pub async fn with_hub(place: impl Into<Place>, hub: SocketAddr) -> anyhow::Result<Self> {
        let place = place.into();
        let address = place.address;
        let more = format!(
            "persistence true\nautosave_on_changes true\nautosave_interval 1\nconnection to-hub-{}\naddress {hub}\n\
             remote_clientid edge-{}\ntopic # out 1\ncleansession false\nrestart_timeout 1\nnotifications false\n",
            address.ip(),
            address.ip()
        );
        Self::with(place, &more).await
    }

    async fn with(place: impl Into<Place>, more: &str) -> anyhow::Result<Self> {
        let place = place.into();
        let address = place.address;
        let (folder, log) = new_folder("mosquitto")?;
        let settings = folder.path().join("mosquitto.conf");
        // Started as root it would become a user of the package, which is not installed.
        let text = format!(
            "listener {} {}\nallow_anonymous true\nuser root\nlog_type all\nmax_queued_messages 0\n\
             max_inflight_messages 0\npersistence_location {}/\n{more}",
            address.port(),
            address.ip(),
            folder.path().display()
        );
        fs::write(&settings, text)?;
        let mut command = Command::new(tools::path("mosquitto")?);
        command.arg("-c").arg(settings);
        let process = Process::start("mosquitto", &place.command(&command), &log)?;
        let exchange = (CONNECT.as_slice(), ACCEPTED.as_slice());
        Ok(Self { server: Server::from_process(process, "mosquitto", place, folder, exchange).await? })
    }
}

common_methods!(Mosquitto, Signal::TERM);
