//! The settings of the Traefiks and of the connections to them.

use std::{path::PathBuf, time::Duration};

use ilb_traefik_client::fleet::Quorum;

use super::{
    definitions::traefik::{
        TRAEFIK_BEARER_TOKEN_FILE, TRAEFIK_CA_FILE, TRAEFIK_CERT_FILE, TRAEFIK_DNS, TRAEFIK_KEY_FILE,
        TRAEFIK_PASSWORD_FILE, TRAEFIK_QUORUM, TRAEFIK_TIMEOUT, TRAEFIK_URLS, TRAEFIK_USERNAME,
    },
    reading::{Reading, Reported},
    setting::Key,
};

/// The Traefiks, and how ilb connects to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraefikSettings {
    pub(crate) instances: Instances,
    /// Number of instances that have to have the configuration in force.
    pub(crate) quorum: Quorum,
    /// Maximum time of one request.
    pub(crate) timeout: Duration,
    pub(crate) authentication: Option<Authentication>,
    pub(crate) ca_file: Option<PathBuf>,
    /// Files of the client certificate and its key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
}

/// Addresses of the Traefiks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Instances {
    /// A Traefik at each of these URLs; never empty.
    Urls(Vec<String>),
    /// A Traefik at each address that the host of this URL resolves to.
    Resolved(String),
}

/// Credentials for Traefik. Secrets are in files, which are read when they are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Authentication {
    Basic { username: String, password_file: PathBuf },
    Bearer { token_file: PathBuf },
}

impl TraefikSettings {
    /// Returns whether there can be only one Traefik.
    pub(super) fn is_single(&self) -> bool {
        matches!(&self.instances, Instances::Urls(urls) if urls.len() == 1)
    }

    /// Reads and checks the settings under `traefik`.
    pub(super) fn read(reading: &mut Reading<'_>) -> Result<Self, Reported> {
        let instances = instances(reading)?;
        let quorum = quorum(reading, &instances)?;
        let timeout = reading.get(&TRAEFIK_TIMEOUT)?;
        let authentication = authentication(reading);
        let ca_file = reading.get_optional(&TRAEFIK_CA_FILE);
        let identity = identity(reading);
        let (encrypted, key) = match &instances {
            Instances::Urls(urls) => (urls.iter().any(|url| url.starts_with("https:")), TRAEFIK_URLS.key()),
            Instances::Resolved(url) => (url.starts_with("https:"), TRAEFIK_DNS.key()),
        };
        if encrypted && ca_file.is_none() {
            reading.report(format!(
                "{} is https and needs traefik.tls.caFile (ILB_TRAEFIK_CA_FILE): a PEM file with the authority that signs \
                 its certificate, since no authorities are built in",
                reading.name(key)
            ));
        }
        Ok(Self { instances, quorum, timeout, authentication, ca_file, identity })
    }
}

fn instances(reading: &mut Reading<'_>) -> Result<Instances, Reported> {
    report_both(reading, TRAEFIK_URLS.key(), TRAEFIK_DNS.key());
    let urls = reading.get_list(&TRAEFIK_URLS)?;
    Ok(reading.get_optional(&TRAEFIK_DNS).map_or(Instances::Urls(urls), Instances::Resolved))
}

fn quorum(reading: &mut Reading<'_>, instances: &Instances) -> Result<Quorum, Reported> {
    let quorum = reading.get(&TRAEFIK_QUORUM)?;
    let is_fleet = !matches!(instances, Instances::Urls(urls) if urls.len() == 1);
    if quorum != Quorum::AtLeast(1) && !is_fleet {
        let name = reading.name(TRAEFIK_QUORUM.key());
        reading.report(format!(
            "{name} has no effect with one Traefik: remove it, or name several by traefik.urls or traefik.dns"
        ));
    }
    Ok(quorum)
}

fn authentication(reading: &mut Reading<'_>) -> Option<Authentication> {
    let (username, password_file) = (TRAEFIK_USERNAME.key(), TRAEFIK_PASSWORD_FILE.key());
    if let Some(basic) = [username, password_file].into_iter().find(|key| reading.origin(*key).is_some()) {
        report_both(reading, basic, TRAEFIK_BEARER_TOKEN_FILE.key());
    }
    report_one_of_two(reading, username, password_file);
    let username = reading.get_optional(&TRAEFIK_USERNAME);
    let password_file = reading.get_optional(&TRAEFIK_PASSWORD_FILE);
    let token_file = reading.get_optional(&TRAEFIK_BEARER_TOKEN_FILE);
    let basic =
        username.zip(password_file).map(|(username, password_file)| Authentication::Basic { username, password_file });
    basic.or_else(|| token_file.map(|token_file| Authentication::Bearer { token_file }))
}

fn identity(reading: &mut Reading<'_>) -> Option<(PathBuf, PathBuf)> {
    report_one_of_two(reading, TRAEFIK_CERT_FILE.key(), TRAEFIK_KEY_FILE.key());
    let certificate = reading.get_optional(&TRAEFIK_CERT_FILE);
    let key = reading.get_optional(&TRAEFIK_KEY_FILE);
    certificate.zip(key)
}

/// Reports two settings that exclude each other if both are given.
fn report_both(reading: &mut Reading<'_>, one: Key, other: Key) {
    if reading.origin(one).is_some() && reading.origin(other).is_some() {
        let (one, other) = (reading.name(one), reading.name(other));
        reading.report(format!("{one} and {other} exclude each other: keep one of them"));
    }
}

/// Reports two settings that need each other if only one is given.
fn report_one_of_two(reading: &mut Reading<'_>, one: Key, other: Key) {
    let (given, missing) = match (reading.origin(one), reading.origin(other)) {
        (Some(_), None) => (one, other),
        (None, Some(_)) => (other, one),
        _ => return,
    };
    reading.report(format!("{} needs {}: set it as well", reading.name(given), missing.path));
}
