//! Where servers run.

use std::{net::SocketAddr, process::Command};

use crate::Network;

/// The address of a server, and the network in which it runs.
#[derive(Clone, Debug)]
pub struct Place {
    /// Address at which it serves.
    pub address: SocketAddr,
    /// Network in which it runs: by default that of the caller.
    pub network: Network,
}

impl Place {
    /// Returns the command that runs `command` there.
    pub(super) fn command(&self, command: &Command) -> Command {
        let mut there = self.network.command(command);
        if let Some(folder) = command.get_current_dir() {
            there.current_dir(folder);
        }
        there
    }
}

impl From<SocketAddr> for Place {
    fn from(address: SocketAddr) -> Self {
        Self { address, network: Network::default() }
    }
}
