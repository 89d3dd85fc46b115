//! What an operator sets: read from a file, variables and flags, checked as a whole, and shown with its sources.

mod check;
#[cfg(test)]
mod documentation;
mod file;
mod forms;
mod keys;
mod pool;
mod problems;
mod reading;
mod sources;
mod traefik;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tracing_subscriber::filter::LevelFilter;

pub(crate) use self::{
    check::check,
    keys::{KEYS, Key},
    pool::{Backends, Capacities, Method, Namespaces, PoolSettings},
    problems::Problems,
    reading::Effective,
    sources::Inputs,
    traefik::{Authentication, Instances, TraefikSettings},
};
use self::{forms::parsed, reading::Reading};
use crate::process::logging::{Log, LogFormat};

/// Valid settings.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) log: Log,
    /// Where health, metrics and status are served.
    pub(crate) admin_address: SocketAddr,
    pub(crate) traefik: TraefikSettings,
    /// At least one, each with a name and an entry point of its own.
    pub(crate) pools: Vec<PoolSettings>,
    /// All of it, for people.
    pub(crate) effective: Vec<Effective>,
}

/// Every address, because the kubelet and collectors of metrics come from outside the pod.
const ADMIN_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8081);

impl Settings {
    /// Reads the file, if one is named, and checks all there is.
    pub(crate) fn load(inputs: &Inputs) -> Result<Self, Problems> {
        let (mut problems, mut effective) = (Problems::default(), Vec::new());
        let (tree, unreadable) = inputs.merged(&mut problems);
        let mut reading =
            Reading { tree: &tree, unreadable: &unreadable, problems: &mut problems, effective: &mut effective };
        let log = log(&mut reading, inputs.terminal);
        let admin_address = reading.one("admin.address", parsed).unwrap_or(ADMIN_ADDRESS);
        let traefik = TraefikSettings::read(&mut reading);
        let pools = PoolSettings::read_all(&mut reading);
        if problems.is_empty() { Ok(Self { log, admin_address, traefik, pools, effective }) } else { Err(problems) }
    }
}

fn log(reading: &mut Reading<'_>, terminal: bool) -> Log {
    let level = reading.one("log.level", forms::log_level).unwrap_or(LevelFilter::INFO);
    let usual = if terminal { LogFormat::Text } else { LogFormat::Json };
    Log { level, format: reading.one("log.format", forms::log_format).unwrap_or(usual) }
}

#[cfg(test)]
mod tests;
