//! Connections from Traefik to servers.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::{Certificate, ServerName, TraefikDuration};

/// Settings of the connections to servers.
///
/// The three durations are always written: the REST provider takes a missing one for zero, which for the dial timeout
/// means no timeout at all. So they cannot be left out:
///
/// ```compile_fail
/// use ilb_traefik_client::model::ServersTransport;
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
    /// Creates a transport for plain TCP. A timeout below 1 ms becomes 1 ms.
    pub fn new(timeouts: Timeouts) -> Self {
        Self {
            dial_keep_alive: timeouts.keep_alive.into(),
            dial_timeout: timeouts.dial.into(),
            proxy_protocol: None,
            termination_delay: timeouts.termination_delay.into(),
            tls: None,
        }
    }

    /// Sends the client's address to servers, in a header before the first byte (3.5.2 and later).
    #[must_use]
    pub fn proxy_protocol(mut self, version: ProxyProtocol) -> Self {
        self.proxy_protocol = Some(version);
        self
    }

    /// Sets TLS for servers with [`tls`](super::Server::tls).
    #[must_use]
    pub fn tls(mut self, tls: TransportTls) -> Self {
        self.tls = Some(tls);
        self
    }
}

/// Timeouts of the connections from Traefik to servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timeouts {
    /// Maximum time of a connection attempt, and so the longest delay of a client by a server that drops packets.
    pub dial: Duration,
    /// Interval of TCP keepalive probes to servers.
    pub keep_alive: Duration,
    /// Maximum time for the answer to a client that has shut down its sending side.
    pub termination_delay: Duration,
}

impl Default for Timeouts {
    /// Returns 2 s to connect, keepalive every 15 s, and 1 h for an answer after a half-close.
    fn default() -> Self {
        Self {
            dial: Duration::from_secs(2),
            keep_alive: Duration::from_secs(15),
            termination_delay: Duration::from_secs(3600),
        }
    }
}

/// Version of the PROXY protocol. Any other number would make Traefik disable the router.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "RawProxyProtocol", into = "RawProxyProtocol")]
pub enum ProxyProtocol {
    /// Version 1, a text header.
    V1,
    /// Version 2, a binary header.
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
    type Error = InvalidProxyProtocol;

    fn try_from(raw: RawProxyProtocol) -> Result<Self, InvalidProxyProtocol> {
        Self::try_from(raw.version)
    }
}

impl TryFrom<u8> for ProxyProtocol {
    type Error = InvalidProxyProtocol;

    fn try_from(version: u8) -> Result<Self, InvalidProxyProtocol> {
        match version {
            1 => Ok(Self::V1),
            2 => Ok(Self::V2),
            other => Err(InvalidProxyProtocol(other)),
        }
    }
}

/// A number that is not a version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no version {0} of the PROXY protocol: use 1 or 2")]
pub struct InvalidProxyProtocol(u8);

/// TLS settings of the connections to servers. The default trusts the system's authorities and presents no certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct TransportTls {
    /// Server name that a server's certificate has to contain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<ServerName>,
    /// Accepts any certificate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_verify: bool,
    /// Trusted authorities in PEM.
    #[serde(rename = "rootCAs", skip_serializing_if = "Vec::is_empty")]
    pub root_cas: Vec<String>,
    /// Certificates that Traefik presents to servers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate>,
    /// URI that a server's certificate has to contain.
    #[serde(rename = "peerCertURI", skip_serializing_if = "Option::is_none")]
    pub peer_cert_uri: Option<String>,
    /// SPIFFE identities. Traefik uses them in place of authorities and certificates, never together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spiffe: Option<Spiffe>,
}

/// SPIFFE identities that servers may have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Spiffe {
    /// Single identities.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    /// Trust domain, all of whose identities are accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_domain: Option<String>,
}

impl fmt::Display for ProxyProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::V1 { "v1" } else { "v2" })
    }
}
