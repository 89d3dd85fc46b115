//! Services for UDP.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Child, Name, Service, services::sealed::Sealed, socket_address};

/// A service for UDP, which sends datagrams to servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum UdpService {
    /// Sends datagrams to servers in turn.
    LoadBalancer(UdpLoadBalancer),
    /// Sends datagrams to other services by weight.
    Weighted(UdpWeighted),
}

/// Servers that are used in turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct UdpLoadBalancer {
    /// Servers; without any, datagrams are dropped.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<UdpServer>,
}

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UdpServer {
    /// Address, written with brackets if it is IPv6.
    #[serde(serialize_with = "socket_address::serialize")]
    pub address: SocketAddr,
}

/// Services that are used by weight.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct UdpWeighted {
    /// Services. Each may be listed several times, each time with a weight.
    pub services: Vec<Child>,
}

impl FromIterator<SocketAddr> for UdpLoadBalancer {
    fn from_iter<I: IntoIterator<Item = SocketAddr>>(addresses: I) -> Self {
        Self { servers: addresses.into_iter().map(|address| UdpServer { address }).collect() }
    }
}

impl FromIterator<Child> for UdpWeighted {
    fn from_iter<I: IntoIterator<Item = Child>>(children: I) -> Self {
        Self { services: children.into_iter().collect() }
    }
}

impl From<UdpLoadBalancer> for UdpService {
    fn from(service: UdpLoadBalancer) -> Self {
        Self::LoadBalancer(service)
    }
}

impl From<UdpWeighted> for UdpService {
    fn from(service: UdpWeighted) -> Self {
        Self::Weighted(service)
    }
}

impl Sealed for UdpService {}

impl Service for UdpService {
    fn children(&self) -> impl Iterator<Item = &Name> {
        let children = match self {
            Self::Weighted(weighted) => weighted.services.as_slice(),
            Self::LoadBalancer(_) => &[],
        };
        children.iter().map(|child| &child.name)
    }
}
