use std::{borrow::Borrow, collections::BTreeMap, fmt, net::SocketAddr, str::FromStr, time::Duration};

use serde::{Serialize, Serializer};

/// Everything that the REST provider knows: a `PUT` replaces what was there before, all of it.
///
/// The maps are ordered, so equal configurations are equal byte by byte. They are always written, even when empty:
/// Traefik answers 200 to a configuration without maps and then ignores it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Configuration {
    /// What concerns raw TCP.
    pub tcp: Tcp,
    /// Certificates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// Routers, services and transports for TCP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Tcp {
    /// Which service takes the connections of which entry point.
    pub routers: BTreeMap<Name, TcpRouter>,
    /// Where connections go.
    pub services: BTreeMap<Name, TcpService>,
    /// How Traefik connects to servers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub servers_transports: BTreeMap<Name, ServersTransport>,
}

/// A catch-all router: every connection of its entry points goes to one service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TcpRouter {
    /// Never empty: without it Traefik binds a router to *all* entry points.
    entry_points: [Name; 1],
    rule: &'static str,
    priority: u32,
    service: Name,
}

impl TcpRouter {
    /// Sends all connections of `entry_point` to `service`, unless a router of higher `priority` takes them.
    pub fn catch_all(entry_point: Name, priority: u32, service: Name) -> Self {
        Self { entry_points: [entry_point], rule: "HostSNI(`*`)", priority, service }
    }
}

/// Where connections go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum TcpService {
    /// To servers, in turn.
    LoadBalancer(LoadBalancer),
    /// To other services, by weight.
    Weighted(Weighted),
}

/// Servers that are used in turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LoadBalancer {
    /// The transport to connect with; Traefik's own defaults lose the answer to a client that has shut down its sending
    /// side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub servers_transport: Option<Name>,
    /// Without servers a connection is closed at once.
    pub servers: Vec<Server>,
}

/// The address of one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Server {
    /// Written with brackets where it is IPv6.
    pub address: SocketAddr,
}

/// Services that are used by weight.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Weighted {
    /// One service may be listed several times, each time with a weight.
    pub services: Vec<Child>,
}

/// One entry of a weighted service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Child {
    /// The service.
    pub name: Name,
    /// Its weight: connections per round relative to the other entries.
    pub weight: u32,
}

impl Child {
    /// `name` with `weight`.
    pub fn new(name: Name, weight: u32) -> Self {
        Self { name, weight }
    }
}

/// How Traefik connects to servers. All fields are always written: what is left out in the REST provider is zero, which
/// for `dialTimeout` means none at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ServersTransport {
    /// How long a connection attempt may take.
    #[serde(serialize_with = "with_unit")]
    pub dial_timeout: Duration,
    /// The interval of TCP keepalive towards servers.
    #[serde(serialize_with = "with_unit")]
    pub dial_keep_alive: Duration,
    /// How long the other direction stays open after one side has shut down its sending.
    #[serde(serialize_with = "with_unit")]
    pub termination_delay: Duration,
}

/// Certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Tls {
    /// Certificate stores; Traefik reads the one named `default`.
    pub stores: BTreeMap<Name, CertificateStore>,
}

/// A certificate store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CertificateStore {
    /// What Traefik shows where nothing else fits. Without one Traefik makes an RSA key at *every* change of its
    /// configuration, which takes 100 to 200 ms.
    pub default_certificate: Certificate,
}

/// A certificate and its private key, in PEM.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    cert_file: String,
    key_file: String,
}

impl Certificate {
    /// From PEM texts (Traefik takes the text itself in place of a file name).
    pub fn from_pem(certificate: String, key: String) -> Self {
        Self { cert_file: certificate, key_file: key }
    }
}

/// Without the key.
impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("cert_file", &self.cert_file).finish_non_exhaustive()
    }
}

/// The name of an entry point, a router, a service, a transport or a store: 1 to 63 lower-case letters, digits and `-`,
/// beginning with a letter or digit, and not with the `rev-` of revision markers.
///
/// Traefik itself takes any text, but an `@` in it breaks how it tells providers apart, and a name must never become a
/// way for somebody else's text to reach the configuration. Names that this crate derives contain a `.`, which no given
/// name has, so the two never meet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    const LONGEST: usize = 63;
    pub(crate) const REVISION_PREFIX: &str = "rev-";

    /// A name that this crate made from valid parts.
    pub(crate) fn derived(text: String) -> Self {
        Self(text)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let fine = (1..=Self::LONGEST).contains(&text.len()) && text.bytes().all(allowed);
        if fine && !text.starts_with('-') && !text.starts_with(Self::REVISION_PREFIX) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName(text.to_owned()))
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A text that is no [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is not a name: use 1 to {max} lower-case letters, digits and '-', beginning with a letter or digit and not \
     with 'rev-'",
    max = Name::LONGEST
)]
pub struct InvalidName(String);

/// Traefik reads a bare number as seconds and refuses a text without unit: milliseconds with their unit are exact.
fn with_unit<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{}ms", duration.as_millis()))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("tcp", true)]
    #[case("b-10-0-0-1-3333", true)]
    #[case("0", true)]
    #[case("", false)]
    #[case("-a", false)]
    #[case("a@rest", false)]
    #[case("A", false)]
    #[case("a b", false)]
    #[case("a/b", false)]
    #[case("rev-0123", false)]
    #[case("a.b", false)]
    fn a_name_exists_only_if_it_is_valid(#[case] text: &str, #[case] valid: bool) {
        assert_eq!(text.parse::<Name>().is_ok(), valid);
    }

    #[test]
    fn the_empty_configuration_has_its_maps() {
        let json = serde_json::to_string(&Configuration::default()).unwrap();
        assert_eq!(json, r#"{"tcp":{"routers":{},"services":{}}}"#);
    }

    #[test]
    fn a_key_is_not_printed() {
        let certificate = Certificate::from_pem("public".into(), "secret".into());
        assert!(!format!("{certificate:?}").contains("secret"));
    }
}
