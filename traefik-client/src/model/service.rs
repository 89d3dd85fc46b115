use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::services::sealed::Sealed;
use crate::{HealthCheck, Name, Service, Weight};

/// Where connections go.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum TcpService {
    /// To servers, in turn.
    LoadBalancer(LoadBalancer),
    /// To other services, by weight.
    Weighted(Weighted),
}

/// Servers that are used in turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct LoadBalancer {
    /// Without servers a connection is closed at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<Server>,
    /// The transport to connect with; Traefik's own defaults lose the answer to a client that has shut down its sending
    /// side.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub servers_transport: Option<Name>,
    /// Whether and how Traefik itself checks the servers (3.6 and later).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
}

impl LoadBalancer {
    /// `servers`, over `transport`.
    pub fn new(transport: Name, servers: impl IntoIterator<Item = Server>) -> Self {
        Self { servers: servers.into_iter().collect(), servers_transport: Some(transport), health_check: None }
    }
}

/// One server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Server {
    /// Written with brackets where it is IPv6.
    pub address: SocketAddr,
    /// Whether Traefik speaks TLS with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
}

impl From<SocketAddr> for Server {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls: false }
    }
}

/// Services that are used by weight.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "RawWeighted", into = "RawWeighted")]
#[non_exhaustive]
pub struct Weighted {
    /// One service may be listed several times, each time with a weight.
    pub services: Vec<Child>,
    /// Whether children whose own checks find no healthy server are passed over; each child needs a health check then.
    pub health_check: bool,
}

impl Weighted {
    /// `services` by weight.
    pub fn new(services: impl IntoIterator<Item = Child>) -> Self {
        Self { services: services.into_iter().collect(), health_check: false }
    }
}

/// One entry of a weighted service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Child {
    /// The service.
    pub name: Name,
    /// Its weight: connections per round relative to the other entries.
    pub weight: Weight,
}

impl Child {
    /// `name` with `weight`.
    ///
    /// ```compile_fail
    /// use ilb_traefik_client::Child;
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

/// As Traefik writes it: the health check of a weighted service is an object without fields.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawWeighted {
    #[serde(default)]
    services: Vec<Child>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    health_check: Option<Present>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Present {}

impl From<RawWeighted> for Weighted {
    fn from(raw: RawWeighted) -> Self {
        Self { services: raw.services, health_check: raw.health_check.is_some() }
    }
}

impl From<Weighted> for RawWeighted {
    fn from(weighted: Weighted) -> Self {
        Self { services: weighted.services, health_check: weighted.health_check.then_some(Present {}) }
    }
}
