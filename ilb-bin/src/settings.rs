//! Reads the settings from flags, variables and a file, checks them as a whole, and shows each with its origin.
//!
//! A setting is defined once, in `definitions`: its path, variables, parser and default. `inputs` merges what was given,
//! `reading` parses it by those definitions, and `Settings`, `TraefikSettings` and `PoolSettings` hold the typed result.

mod admin;
#[cfg(test)]
mod any_text;
mod backend_link;
mod backend_links;
mod backends;
mod closing;
mod definitions;
#[cfg(test)]
mod documentation;
mod duration;
mod effective;
mod file;
mod file_layer;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod inputs;
mod instance;
mod layer;
mod listen_address;
mod merged;
mod origin;
mod parsers;
mod pool;
mod problems;
mod reading;
mod setting;
mod sibling_service;
mod traefik;

use std::{io, path::PathBuf};

use ilb_discovery::FileReader;

pub(crate) use self::{
    admin::AdminSettings,
    backend_link::BackendLink,
    backends::Backends,
    definitions::{KEYS, is_variable},
    effective::masked,
    inputs::{ClusterChoice, Inputs},
    instance::InstanceSettings,
    listen_address::ListenAddress,
    pool::{Namespaces, PoolSettings},
    problems::Problems,
    setting::Key,
    sibling_service::SiblingService,
    traefik::{Authentication, Instances, TraefikSettings},
};
use self::{
    backend_links::read_backend_links,
    definitions::{
        CLOSER_SOCKET, LOG_FORMAT, LOG_LEVEL,
        connection_log::{CONNECTION_LOG_ENABLED, CONNECTION_LOG_MAX_RATE},
        instance::KUBERNETES_EVENTS,
        siblings::{EXPECT_SIBLINGS, SIBLINGS},
    },
    effective::Effective,
    reading::{Reading, Reported},
};
use crate::process::logging::LogOptions;

/// Maximum length of the file, which is that of a `ConfigMap`.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 20;

/// Valid settings.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) log: LogOptions,
    pub(crate) admin: AdminSettings,
    /// Links that the status page shows beside each backend.
    pub(crate) backend_links: Vec<BackendLink>,
    pub(crate) traefik: TraefikSettings,
    /// Socket of the process that closes connections; `None` if there is none.
    pub(crate) closer_socket: Option<PathBuf>,
    /// Services whose endpoints are the replicas before the same backends; empty if this one balances by itself.
    pub(crate) siblings: Vec<SiblingService>,
    /// True if not being allowed to list them is a problem.
    pub(crate) expect_siblings: bool,
    /// The pod that this process runs in.
    pub(crate) instance: InstanceSettings,
    /// True if important events are sent to the API server.
    pub(crate) kubernetes_events: bool,
    /// Cluster that was chosen on the command line.
    pub(crate) cluster: ClusterChoice,
    /// Maximum number of connections per second that are logged when they end; `None` if none is.
    pub(crate) connection_log: Option<u32>,
    /// Never empty. Each pool has a name and an entry point of its own.
    pub(crate) pools: Vec<PoolSettings>,
    /// Every setting as text, for people and for `ilb check`.
    pub(crate) effective: Vec<Effective>,
    /// Inputs that look like settings and were ignored, each with the reason, for people.
    pub(crate) ignored: Vec<String>,
}

impl Settings {
    /// Reads the file, if one is named, and checks everything that `inputs` hold. Waits for the file system.
    pub(crate) fn load(inputs: &Inputs) -> Result<Self, Problems> {
        let text = inputs.file().map_or(Ok(String::new()), |path| FileReader::new(path, MAX_FILE_BYTES).read_now());
        Self::from_text(inputs, text)
    }

    /// Checks everything that `inputs` hold; `text` is that of the file, if they name one.
    pub(crate) fn from_text(inputs: &Inputs, text: io::Result<String>) -> Result<Self, Problems> {
        let mut problems = Problems::default();
        let merged = inputs.merged(text, &mut problems);
        let mut reading = Reading { merged: &merged, terminal: inputs.terminal, pool: 0, problems: &mut problems };
        match Self::read(&mut reading) {
            Ok(settings) if problems.is_empty() => {
                let (ignored, cluster) = (layer::service_links(&inputs.variables), inputs.cluster.clone());
                Ok(Self { cluster, ignored, ..settings })
            }
            _ => Err(problems),
        }
    }

    /// Lists every setting with its value and its origin, as `ilb check` prints it.
    pub(crate) fn table(&self) -> String {
        effective::table(&self.effective)
    }

    fn read(reading: &mut Reading<'_>) -> Result<Self, Reported> {
        let log = LogOptions { level: reading.get(&LOG_LEVEL)?, format: reading.get(&LOG_FORMAT)? };
        let (admin, traefik) = (AdminSettings::read(reading)?, TraefikSettings::read(reading)?);
        let backend_links = read_backend_links(reading);
        let closer_socket = reading.get_optional(&CLOSER_SOCKET);
        let siblings = reading.get_optional_list(&SIBLINGS).unwrap_or_default();
        let expect_siblings = reading.get(&EXPECT_SIBLINGS)?;
        let instance = InstanceSettings::read(reading);
        let kubernetes_events = reading.get(&KUBERNETES_EVENTS)?;
        if kubernetes_events && (instance.pod.is_none() || instance.namespace.is_none()) {
            reading.report(
                "kubernetesEvents needs the pod that the events are about: set ILB_POD and ILB_POD_NAMESPACE"
                    .to_owned(),
            );
        }
        let max_rate = reading.get(&CONNECTION_LOG_MAX_RATE)?;
        let connection_log = reading.get(&CONNECTION_LOG_ENABLED)?.then_some(max_rate);
        let pools = PoolSettings::read_all(reading);
        if let Some(pool) = pools.iter().find(|pool| !pool.closing.is_off()).filter(|_| !traefik.is_single()) {
            let name = &pool.name;
            reading.report(format!(
                "the rules under closing of pool {name} do not fit several Traefiks, whose connections cannot be seen from \
                 one place: run ilb beside each Traefik, or switch the rules off"
            ));
        }
        Ok(Self {
            log,
            admin,
            backend_links,
            traefik,
            closer_socket,
            siblings,
            expect_siblings,
            instance,
            kubernetes_events,
            cluster: ClusterChoice::default(),
            connection_log,
            pools,
            effective: Effective::all(reading.merged, reading.terminal),
            ignored: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests;
