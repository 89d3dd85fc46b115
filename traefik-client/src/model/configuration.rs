use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Certificate, CertificateEntry, DefaultStore, Middleware, Name, ServersTransport, Services, Stores, TcpRouter,
    TcpService, TlsOptions, UdpRouter, UdpService,
};

/// Everything that the REST provider knows: a `PUT` replaces what was there before, all of it.
///
/// The maps are ordered, so equal configurations are equal byte by byte. Those of TCP are always written, even when
/// empty: Traefik answers 200 to a configuration without maps and then ignores it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Configuration {
    /// What concerns TCP.
    pub tcp: Tcp,
    /// What concerns UDP.
    #[serde(skip_serializing_if = "Udp::is_empty")]
    pub udp: Udp,
    /// Certificates and how to use them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

/// Routers, services, middlewares and transports for TCP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Tcp {
    /// Which service takes which connections of which entry points.
    pub routers: BTreeMap<Name, TcpRouter>,
    /// Where connections go.
    pub services: Services<TcpService>,
    /// What happens between router and service.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub middlewares: BTreeMap<Name, Middleware>,
    /// How Traefik connects to servers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub servers_transports: BTreeMap<Name, ServersTransport>,
}

/// Routers and services for UDP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Udp {
    /// Which service takes the datagrams of which entry points.
    pub routers: BTreeMap<Name, UdpRouter>,
    /// Where datagrams go.
    pub services: Services<UdpService>,
}

impl Udp {
    pub(crate) fn is_empty(&self) -> bool {
        self.routers.is_empty() && self.services.is_empty()
    }
}

/// Certificates and how to use them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Tls {
    /// Certificates, chosen by the name that a client asks for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateEntry>,
    /// Sets of options that routers name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<Name, TlsOptions>,
    /// The store of what is shown where no certificate fits.
    #[serde(skip_serializing_if = "Stores::is_empty")]
    pub stores: Stores,
}

impl Configuration {
    /// Sets the certificate that Traefik shows where nothing else fits.
    ///
    /// Without one Traefik makes an RSA key at *every* change of its configuration, which takes 100 to 200 ms.
    pub fn set_default_certificate(&mut self, certificate: Certificate) {
        let tls = self.tls.get_or_insert_default();
        tls.stores.default = Some(DefaultStore { default_certificate: certificate });
    }
}

#[cfg(test)]
mod tests;
