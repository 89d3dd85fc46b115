//! The whole configuration of a REST provider.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Certificate, CertificateEntry, Middleware, Name, ServersTransport, Services, Stores, TcpRouter, TcpService,
    TlsOptions, UdpRouter, UdpService,
};

/// The whole configuration of the REST provider; each `PUT` replaces all of the earlier one.
///
/// The maps are ordered, so equal configurations are equal byte by byte. The maps for TCP are written even when they are
/// empty: Traefik answers 200 to a configuration without maps and then ignores it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Configuration {
    /// Configuration for TCP.
    pub tcp: Tcp,
    /// Configuration for UDP.
    #[serde(skip_serializing_if = "Udp::is_empty")]
    pub udp: Udp,
    /// Certificates and TLS options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// Routers, services, middlewares and transports for TCP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Tcp {
    /// Routers, which send the connections of entry points to services.
    pub routers: BTreeMap<Name, TcpRouter>,
    /// Services, which send connections to servers.
    pub services: Services<TcpService>,
    /// Middlewares, which connections pass between router and service.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub middlewares: BTreeMap<Name, Middleware>,
    /// Settings of the connections to servers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub servers_transports: BTreeMap<Name, ServersTransport>,
}

/// Routers and services for UDP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Udp {
    /// Routers, which send the datagrams of entry points to services.
    pub routers: BTreeMap<Name, UdpRouter>,
    /// Services, which send datagrams to servers.
    pub services: Services<UdpService>,
}

impl Udp {
    pub(crate) fn is_empty(&self) -> bool {
        self.routers.is_empty() && self.services.is_empty()
    }
}

/// Certificates and TLS options.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Tls {
    /// Certificates, chosen by the server name that a client asks for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateEntry>,
    /// Sets of TLS options, which routers refer to by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<Name, TlsOptions>,
    /// Store of the default certificate.
    #[serde(skip_serializing_if = "Stores::is_empty")]
    pub stores: Stores,
}

impl Configuration {
    /// Sets the certificate that Traefik presents if no other one fits.
    ///
    /// Without it Traefik generates an RSA key at *every* change of its configuration, which takes 100 to 200 ms.
    pub fn set_default_certificate(&mut self, certificate: Certificate) {
        let tls = self.tls.get_or_insert_default();
        tls.stores.default = Some(certificate.into());
    }
}

#[cfg(test)]
mod tests;
