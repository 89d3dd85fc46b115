use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{Certificate, ServerName, TraefikDuration};

/// How Traefik connects to servers.
///
/// The three lengths of time are always written: what is left out in the REST provider is zero, which for the dial
/// timeout means none at all. There is no transport without them:
///
/// ```compile_fail
/// use ilb_traefik_client::ServersTransport;
///
/// ServersTransport::default();
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServersTransport {
    dial_keep_alive: TraefikDuration,
    dial_timeout: TraefikDuration,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxy_protocol: Option<ProxyProtocol>,
    termination_delay: TraefikDuration,
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<TransportTls>,
}

impl ServersTransport {
    /// Plain TCP. Of each timeout at least 1 ms is written.
    pub fn new(timeouts: Timeouts) -> Self {
        Self {
            dial_keep_alive: timeouts.keep_alive.into(),
            dial_timeout: timeouts.dial.into(),
            proxy_protocol: None,
            termination_delay: timeouts.termination_delay.into(),
            tls: None,
        }
    }

    /// Tells servers the client's address in a header before the first byte (3.5.2 and later).
    #[must_use]
    pub fn proxy_protocol(mut self, version: ProxyProtocol) -> Self {
        self.proxy_protocol = Some(version);
        self
    }

    /// How to speak TLS with servers that are marked so.
    #[must_use]
    pub fn tls(mut self, tls: TransportTls) -> Self {
        self.tls = Some(tls);
        self
    }
}

/// How Traefik connects to the servers of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// How long a connection attempt may take: what a client waits at worst for a server that swallows packets.
    pub dial: Duration,
    /// The interval of TCP keepalive towards servers.
    pub keep_alive: Duration,
    /// How long an answer may take to a client that has shut down its sending side.
    pub termination_delay: Duration,
}

impl Default for Timeouts {
    /// 2 s to connect, keepalive every 15 s, 1 h for an answer after a half-close.
    fn default() -> Self {
        Self {
            dial: Duration::from_secs(2),
            keep_alive: Duration::from_secs(15),
            termination_delay: Duration::from_secs(3600),
        }
    }
}

/// The version of the PROXY protocol. Another number would make Traefik disable the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawProxyProtocol", into = "RawProxyProtocol")]
pub enum ProxyProtocol {
    /// Text.
    V1,
    /// Binary.
    V2,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct RawProxyProtocol {
    version: u8,
}

impl From<ProxyProtocol> for RawProxyProtocol {
    fn from(version: ProxyProtocol) -> Self {
        Self { version: if version == ProxyProtocol::V1 { 1 } else { 2 } }
    }
}

impl TryFrom<RawProxyProtocol> for ProxyProtocol {
    type Error = String;

    fn try_from(raw: RawProxyProtocol) -> Result<Self, String> {
        match raw.version {
            1 => Ok(Self::V1),
            2 => Ok(Self::V2),
            other => Err(format!("there is no version {other} of the PROXY protocol")),
        }
    }
}

/// How to speak TLS with servers. Everything left out means the system's trust and no own certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct TransportTls {
    /// The name that a server's certificate has to carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<ServerName>,
    /// Takes any certificate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_verify: bool,
    /// Authorities to trust, in PEM.
    #[serde(rename = "rootCAs", skip_serializing_if = "Vec::is_empty")]
    pub root_cas: Vec<String>,
    /// What Traefik shows to servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate>,
    /// The URI that a server's certificate has to carry.
    #[serde(rename = "peerCertURI", skip_serializing_if = "Option::is_none")]
    pub peer_cert_uri: Option<String>,
    /// Identities from SPIFFE. Traefik takes them in place of authorities and certificates, never with them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spiffe: Option<Spiffe>,
}

/// Which SPIFFE identities servers may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Spiffe {
    /// Identities.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// A whole domain of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_domain: Option<String>,
}

impl fmt::Display for ProxyProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::V1 { "v1" } else { "v2" })
    }
}
