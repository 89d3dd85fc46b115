use serde::{Deserialize, Serialize};

use crate::{Certificate, Name};

/// Certificate stores. Traefik reads the one named `default`, and drops it when there are two definitions; so there is
/// room for one.
///
/// ```compile_fail
/// use ilb_traefik_client::{Certificate, Configuration, DefaultStore};
///
/// let certificate = Certificate::from_pem(String::new(), String::new());
/// let mut configuration = Configuration::default();
/// configuration.tls.unwrap().stores.insert("default", DefaultStore { default_certificate: certificate });
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stores {
    /// The store that Traefik reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<DefaultStore>,
}

impl Stores {
    pub(crate) fn is_empty(&self) -> bool {
        self.default.is_none()
    }
}

/// What is shown where no certificate fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DefaultStore {
    /// The certificate.
    pub default_certificate: Certificate,
}

/// A certificate for the names that it carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct CertificateEntry {
    /// Certificate and key.
    #[serde(flatten)]
    pub certificate: Certificate,
    /// The stores that have it; the default one without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<Name>,
}

impl From<Certificate> for CertificateEntry {
    /// In the default store.
    fn from(certificate: Certificate) -> Self {
        Self { certificate, stores: Vec::new() }
    }
}

/// How a router speaks TLS with clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct TlsOptions {
    /// The lowest version; Traefik's own choice without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_version: Option<TlsVersion>,
    /// The highest version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_version: Option<TlsVersion>,
    /// Names of cipher suites as Go has them; for TLS 1.2 and older.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cipher_suites: Vec<String>,
    /// Names of curves as Go has them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub curve_preferences: Vec<String>,
    /// Whether clients have to show a certificate. Without authorities only the types that check none make sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_auth: Option<ClientAuth>,
    /// Refuses clients that ask for a name without certificate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub sni_strict: bool,
    /// Application protocols, by preference.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub alpn_protocols: Vec<String>,
    /// Gives clients no tickets to resume with (3.4 and later).
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

/// What is asked of clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ClientAuth {
    /// Authorities, in PEM.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ca_files: Vec<String>,
    /// How much is asked.
    pub client_auth_type: ClientAuthType,
}

impl ClientAuth {
    /// Only clients with a certificate from one of these authorities (PEM).
    pub fn require(authorities: impl IntoIterator<Item = String>) -> Self {
        let client_auth_type = ClientAuthType::RequireAndVerifyClientCert;
        Self { ca_files: authorities.into_iter().collect(), client_auth_type }
    }
}

/// How much is asked of clients, as Traefik writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum ClientAuthType {
    /// Nothing.
    NoClientCert,
    /// A certificate, if there is one, which is not checked.
    RequestClientCert,
    /// A certificate, which is not checked.
    RequireAnyClientCert,
    /// A certificate, if there is one, which is checked.
    VerifyClientCertIfGiven,
    /// A certificate, which is checked.
    RequireAndVerifyClientCert,
}
