//! Servers that are programs of the tests' own, upon packages that people use.

use std::{path::Path, process::Command};

use super::{
    place::Place,
    server::{Server, common_methods, new_folder},
};
use crate::{Process, Signal, in_checkout, tools};

/// A server of the tests' own, in a process of its own.
#[derive(Debug)]
pub struct Program {
    server: Server,
}

/// Request with which a client of WebSocket begins.
const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: game\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
/// Header of the PROXY protocol, version 1, after which a mail server speaks.
const PROXIED: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.2 1024 25\r\n";

impl Program {
    /// Starts a game server over WebSocket, upon the package ws of Node.js.
    pub async fn game(place: impl Into<Place>) -> anyhow::Result<Self> {
        let mut command = Command::new("node");
        command.arg(in_checkout("integration-tests/testbed/servers/game.js")).arg(tools::path("ws")?);
        Self::start("game", place.into(), command, &[], (UPGRADE, b"HTTP/1.1 101")).await
    }

    /// Starts a mail server upon the package aiosmtpd of Python, which stores messages in `folder`.
    pub async fn mail(place: impl Into<Place>, certificate: &Path, key: &Path, folder: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(tools::path("python-with-clients")?);
        command.args(["-B", "-E", "-s"]).arg(in_checkout("integration-tests/testbed/servers/mail.py"));
        Self::start("mail", place.into(), command, &[certificate, key, folder], (PROXIED, b"220 ")).await
    }

    async fn start(
        name: &'static str,
        place: Place,
        mut command: Command,
        more: &[&Path],
        exchange: (&[u8], &[u8]),
    ) -> anyhow::Result<Self> {
        let (folder, log) = new_folder(name)?;
        command.args([place.address.ip().to_string(), place.address.port().to_string()]).args(more);
        let process = Process::start(name, &place.command(&command), &log)?;
        Ok(Self { server: Server::from_process(process, name, place, folder, exchange).await? })
    }
}

common_methods!(Program, Signal::TERM);
