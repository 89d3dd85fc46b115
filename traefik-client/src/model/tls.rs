//! Certificate stores and TLS options.

use serde::{Deserialize, Serialize};

use super::{Certificate, Name};

/// Certificate stores. Traefik reads only the store named `default`, and drops it if it is defined twice, so this is the
/// only one that can be expressed.
///
/// ```compile_fail
/// use ilb_traefik_client::{Certificate, Configuration, model::DefaultStore};
///
/// let certificate = Certificate::from_pem(String::new(), String::new());
/// let mut configuration = Configuration::default();
/// configuration.tls.unwrap().stores.insert("default", DefaultStore::from(certificate));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stores {
    /// Store that Traefik reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<DefaultStore>,
}

impl Stores {
    pub(crate) fn is_empty(&self) -> bool {
        self.default.is_none()
    }
}

/// Store with the certificate that Traefik presents if no other one fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DefaultStore {
    /// Certificate and key.
    pub default_certificate: Certificate,
}

impl From<Certificate> for DefaultStore {
    fn from(default_certificate: Certificate) -> Self {
        Self { default_certificate }
    }
}

/// A certificate, which Traefik presents for the names in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CertificateEntry {
    /// Certificate and key.
    #[serde(flatten)]
    pub certificate: Certificate,
    /// Names of its stores; empty for the default store.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<Name>,
}

impl From<Certificate> for CertificateEntry {
    /// Puts the certificate in the default store.
    fn from(certificate: Certificate) -> Self {
        Self { certificate, stores: Vec::new() }
    }
}

/// TLS settings of a router's connections with clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct TlsOptions {
    /// Lowest version; `None` for Traefik's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_version: Option<TlsVersion>,
    /// Highest version; `None` for Traefik's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_version: Option<TlsVersion>,
    /// Cipher suites for TLS 1.2 and older, by Go's names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cipher_suites: Vec<String>,
    /// Curves, by Go's names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub curve_preferences: Vec<String>,
    /// Client certificates. Without authorities, only the types without verification make sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_auth: Option<ClientAuth>,
    /// Refuses clients that ask for a server name without a certificate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sni_strict: bool,
    /// Application protocols, by preference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alpn_protocols: Vec<String>,
    /// Issues no session tickets (3.4 and later).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disable_session_tickets: bool,
}

/// A version of TLS, as Traefik writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TlsVersion {
    /// TLS 1.0
    #[serde(rename = "VersionTLS10")]
    Tls10,
    /// TLS 1.1
    #[serde(rename = "VersionTLS11")]
    Tls11,
    /// TLS 1.2
    #[serde(rename = "VersionTLS12")]
    Tls12,
    /// TLS 1.3
    #[serde(rename = "VersionTLS13")]
    Tls13,
}

/// Requirements on client certificates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ClientAuth {
    /// Authorities in PEM.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ca_files: Vec<String>,
    /// Requirement on each client.
    pub client_auth_type: ClientAuthType,
}

impl ClientAuth {
    /// Requires a certificate from one of these authorities (PEM).
    pub fn require(authorities: impl IntoIterator<Item = String>) -> Self {
        let client_auth_type = ClientAuthType::RequireAndVerifyClientCert;
        Self { ca_files: authorities.into_iter().collect(), client_auth_type }
    }
}

/// Requirement on each client, by Traefik's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ClientAuthType {
    /// Requests no certificate.
    NoClientCert,
    /// Requests a certificate, and accepts any or none.
    RequestClientCert,
    /// Requires a certificate, and accepts any.
    RequireAnyClientCert,
    /// Requests a certificate, and verifies it if there is one.
    VerifyClientCertIfGiven,
    /// Requires a certificate and verifies it.
    RequireAndVerifyClientCert,
}
