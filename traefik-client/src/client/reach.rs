//! The services that routers use, and the routers that use a service.

use std::collections::{BTreeMap, HashSet};

use crate::{
    Configuration, Name,
    model::{Service, TcpRouter, TcpService},
};

/// Returns the services that a router uses, directly or through other services. Traefik builds no others.
pub(super) fn reachable(configuration: &Configuration) -> HashSet<&Name> {
    reachable_by(configuration, configuration.tcp.routers.values())
}

/// Returns the services that these routers use, directly or through other services.
pub(super) fn reachable_by<'a>(
    configuration: &'a Configuration,
    routers: impl IntoIterator<Item = &'a TcpRouter>,
) -> HashSet<&'a Name> {
    below(configuration, routers.into_iter().map(TcpRouter::service))
}

/// Returns these services and all that they contain.
pub(super) fn below<'a>(
    configuration: &'a Configuration,
    services: impl IntoIterator<Item = &'a Name>,
) -> HashSet<&'a Name> {
    let all = &configuration.tcp.services;
    // Only few services contain others, and they contain none that is not there.
    let parents: BTreeMap<_, _> = all.iter().filter(|(_, service)| service.children().next().is_some()).collect();
    let mut reached = HashSet::new();
    let mut left: Vec<_> = services.into_iter().filter(|name| all.get(name.as_str()).is_some()).collect();
    while let Some(name) = left.pop() {
        if reached.insert(name)
            && let Some(parent) = parents.get(name)
        {
            reached.reserve(parent.children().count());
            left.extend(parent.children());
        }
    }
    reached
}

/// Returns the names of the routers that use a service for which `is_meant`.
pub(super) fn routers_of(
    configuration: &Configuration,
    is_meant: impl Fn(&Name, &TcpService) -> bool,
) -> impl Iterator<Item = &Name> {
    let services = configuration.tcp.services.iter();
    let meant: HashSet<_> = services.filter(|(name, service)| is_meant(name, service)).map(|(name, _)| name).collect();
    let uses_one = move |router: &TcpRouter| {
        !meant.is_empty() && reachable_by(configuration, [router]).iter().any(|name| meant.contains(name))
    };
    configuration.tcp.routers.iter().filter(move |(_, router)| uses_one(router)).map(|(name, _)| name)
}

/// Returns the names of the transports that these services use.
pub(super) fn transports_of(configuration: &Configuration, is_meant: impl Fn(&Name) -> bool) -> HashSet<&Name> {
    let services = configuration.tcp.services.iter().filter(|(name, _)| is_meant(name));
    services.filter_map(|(_, service)| transport_of(service)).collect()
}

/// Returns the name of the transport that a service uses itself.
pub(super) fn transport_of(service: &TcpService) -> Option<&Name> {
    match service {
        TcpService::LoadBalancer(balancer) => balancer.servers_transport.as_ref(),
        TcpService::Weighted(_) => None,
    }
}
