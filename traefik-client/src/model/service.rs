//! Services for TCP.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize, Serializer};

use super::{HealthCheck, Name, Service, Weight, services::sealed::Sealed, socket_address};

/// A service for TCP, which sends connections to servers.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum TcpService {
    /// Sends connections to servers in turn.
    LoadBalancer(LoadBalancer),
    /// Sends connections to other services by weight.
    Weighted(Weighted),
}

/// Servers that are used in turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct LoadBalancer {
    /// Servers; without any, a connection is closed at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<Server>,
    /// Settings of the connections to servers. With Traefik's own defaults the answer to a client that has shut down its
    /// sending side is lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub servers_transport: Option<Name>,
    /// Health check of the servers by Traefik itself (3.6 and later).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
}

impl LoadBalancer {
    /// Creates a service that connects to `servers` by `transport`.
    pub fn new(transport: Name, servers: impl IntoIterator<Item = Server>) -> Self {
        Self { servers: servers.into_iter().collect(), servers_transport: Some(transport), health_check: None }
    }
}

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Server {
    /// Address, written with brackets if it is IPv6.
    #[serde(serialize_with = "socket_address::serialize")]
    pub address: SocketAddr,
    /// True if Traefik connects by TLS.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
}

impl From<SocketAddr> for Server {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls: false }
    }
}

/// Services that are used by weight.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "RawWeighted<Vec<Child>>")]
#[non_exhaustive]
pub struct Weighted {
    /// Services. Each may be listed several times, each time with a weight.
    pub services: Vec<Child>,
    /// True if children without a healthy server are skipped, for which each child needs a health check.
    pub health_check: bool,
}

impl Weighted {
    /// Creates a service over `services`.
    pub fn new(services: impl IntoIterator<Item = Child>) -> Self {
        Self { services: services.into_iter().collect(), health_check: false }
    }
}

/// An entry of a weighted service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Child {
    /// Name of the service.
    pub name: Name,
    /// Connections per round relative to the other entries.
    pub weight: Weight,
}

impl Child {
    /// Creates an entry. A weight that is not positive does not compile:
    ///
    /// ```compile_fail
    /// use ilb_traefik_client::model::Child;
    ///
    /// Child::new("a".parse().unwrap(), -1);
    /// ```
    pub fn new(name: Name, weight: Weight) -> Self {
        Self { name, weight }
    }
}

impl From<LoadBalancer> for TcpService {
    fn from(service: LoadBalancer) -> Self {
        Self::LoadBalancer(service)
    }
}

impl From<Weighted> for TcpService {
    fn from(service: Weighted) -> Self {
        Self::Weighted(service)
    }
}

impl Sealed for TcpService {}

impl Service for TcpService {
    fn children(&self) -> impl Iterator<Item = &Name> {
        let children = match self {
            Self::Weighted(weighted) => weighted.services.as_slice(),
            Self::LoadBalancer(_) => &[],
        };
        children.iter().map(|child| &child.name)
    }

    fn needs_checked_children(&self) -> bool {
        matches!(self, Self::Weighted(Weighted { health_check: true, .. }))
    }

    fn is_checked(&self) -> bool {
        match self {
            Self::LoadBalancer(balancer) => balancer.health_check.is_some(),
            Self::Weighted(weighted) => weighted.health_check,
        }
    }
}

/// A weighted service as Traefik writes it, with a health check that is an object without fields.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawWeighted<Services> {
    #[serde(default)]
    services: Services,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    health_check: Option<Present>,
}

#[derive(Serialize, Deserialize)]
struct Present {}

impl From<RawWeighted<Vec<Child>>> for Weighted {
    fn from(raw: RawWeighted<Vec<Child>>) -> Self {
        Self { services: raw.services, health_check: raw.health_check.is_some() }
    }
}

impl Serialize for Weighted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let health_check = self.health_check.then_some(Present {});
        RawWeighted { services: self.services.as_slice(), health_check }.serialize(serializer)
    }
}
