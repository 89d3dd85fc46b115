use std::path::PathBuf;

use super::{
    forms::{some_text, traefik_url},
    reading::Reading,
};

/// Which Traefiks, and how to reach them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraefikSettings {
    pub(crate) instances: Instances,
    pub(crate) authentication: Option<Authentication>,
    pub(crate) ca_file: Option<PathBuf>,
    /// The files of a client certificate and its key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Instances {
    /// At least one.
    Urls(Vec<String>),
    /// All addresses that the host of this URL resolves to.
    Resolved(String),
}

/// Secrets are in files and read when they are needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Authentication {
    Basic { username: String, password_file: PathBuf },
    Bearer { token_file: PathBuf },
}

const USUAL: &str = "http://localhost:8080/api/providers/rest";

impl TraefikSettings {
    pub(super) fn read(reading: &mut Reading<'_>) -> Self {
        exclude(reading, "traefik.urls", "traefik.dns");
        let urls = reading.many("traefik.urls", traefik_url).filter(|urls| !urls.is_empty());
        let name = reading.one("traefik.dns", traefik_url);
        exclude(reading, "traefik.basicAuth.username", "traefik.bearerTokenFile");
        require(reading, "traefik.basicAuth.username", "traefik.basicAuth.passwordFile");
        let username = reading.one("traefik.basicAuth.username", some_text);
        let password = reading.one("traefik.basicAuth.passwordFile", some_text);
        let token = reading.one("traefik.bearerTokenFile", some_text);
        let basic = username
            .zip(password)
            .map(|(username, file)| Authentication::Basic { username, password_file: file.into() });
        let ca_file = reading.one("traefik.tls.caFile", some_text).map(PathBuf::from);
        require(reading, "traefik.tls.certFile", "traefik.tls.keyFile");
        let certificate = reading.one("traefik.tls.certFile", some_text).map(PathBuf::from);
        let key = reading.one("traefik.tls.keyFile", some_text).map(PathBuf::from);
        let instances = match (name, urls) {
            (Some(name), _) => Instances::Resolved(name),
            (None, Some(urls)) => Instances::Urls(urls),
            (None, None) => Instances::Urls(vec![USUAL.to_owned()]),
        };
        let encrypted = match &instances {
            Instances::Urls(urls) => urls.iter().any(|url| url.starts_with("https:")),
            Instances::Resolved(name) => name.starts_with("https:"),
        };
        if encrypted && ca_file.is_none() {
            reading.problems.push(
                "an https URL of Traefik needs traefik.tls.caFile (ILB_TRAEFIK_CA_FILE): a PEM file with the authority \
                 that signs its certificate, since no authorities are built in"
                    .to_owned(),
            );
        }
        Self {
            instances,
            authentication: basic.or_else(|| token.map(|file| Authentication::Bearer { token_file: file.into() })),
            ca_file,
            identity: certificate.zip(key),
        }
    }
}

/// Complains if both are given.
fn exclude(reading: &mut Reading<'_>, one: &str, other: &str) {
    if let (Some(one), Some(other)) = (reading.origin(one), reading.origin(other)) {
        reading.problems.push(format!("{one} and {other} exclude each other: keep one of them"));
    }
}

/// Complains if only one of two is given that need each other.
fn require(reading: &mut Reading<'_>, one: &str, other: &str) {
    match (reading.origin(one), reading.origin(other)) {
        (Some(given), None) => reading.problems.push(format!("{given} needs {other}: set it as well")),
        (None, Some(given)) => reading.problems.push(format!("{given} needs {one}: set it as well")),
        _ => {}
    }
}
