//! The part of a configuration that serves one pool.

use std::net::SocketAddr;

use crate::{
    Configuration, Name, ProxyProtocol, Timeouts,
    model::{Child, LoadBalancer, ServersTransport, TcpRouter, TcpService, Weight, Weighted, push_address},
};

/// Builds the part of a configuration that serves one pool.
///
/// Each backend is a service of its own below one weighted parent, because Traefik has weights for services and none for
/// servers. The router names its entry point and its priority. Without the former it would serve all entry points, and
/// without the latter it would lose against any other provider.
///
/// ```
/// use ilb_traefik_client::{Configuration, Member, TcpPool};
///
/// let mut configuration = Configuration::default();
/// TcpPool::new("default".parse()?, "tcp".parse()?)
///     .member(Member::new("10.0.1.4:3333".parse()?, 1))
///     .member(Member::new("[fd00::1]:3333".parse()?, 1))
///     .add_to(&mut configuration);
/// assert_eq!(configuration.tcp.services.len(), 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TcpPool {
    name: Name,
    entry_point: Name,
    members: Vec<(SocketAddr, Weight)>,
    timeouts: Timeouts,
    proxy_protocol: Option<ProxyProtocol>,
}

/// A server of a pool and its weight.
///
/// An address may be listed several times, each time with a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Address that Traefik connects to.
    pub address: SocketAddr,
    /// Connections per round relative to the other members; a member with 0 gets none.
    pub weight: u32,
}

impl Member {
    /// Creates a member.
    pub fn new(address: SocketAddr, weight: u32) -> Self {
        Self { address, weight }
    }
}

/// Priority of the router: above the catch-all of the bootstrap file (1), and low enough for an operator's own routers to
/// take precedence.
const ROUTER_PRIORITY: u32 = 100;

impl TcpPool {
    /// Creates a pool without members, which closes connections to `entry_point` at once.
    pub fn new(name: Name, entry_point: Name) -> Self {
        Self { name, entry_point, members: Vec::new(), timeouts: Timeouts::default(), proxy_protocol: None }
    }

    /// Adds one member.
    #[must_use]
    pub fn member(self, member: Member) -> Self {
        self.members([member])
    }

    /// Adds members. Members with weight 0 are left out, since Traefik would never pick them.
    #[must_use]
    pub fn members(mut self, members: impl IntoIterator<Item = Member>) -> Self {
        self.members.extend(members.into_iter().filter_map(|m| Some((m.address, Weight::try_from(m.weight).ok()?))));
        self
    }

    /// Sets how Traefik connects to the members.
    #[must_use]
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Sends the client's address to the members, in a header before the first byte.
    #[must_use]
    pub fn proxy_protocol(mut self, version: ProxyProtocol) -> Self {
        self.proxy_protocol = Some(version);
        self
    }

    /// Adds router, services and transport of this pool to `configuration`, and replaces those of a pool of the same name.
    pub fn add_to(self, configuration: &mut Configuration) {
        let tcp = &mut configuration.tcp;
        let mut children = Vec::with_capacity(self.members.len());
        let mut names = ChildNames::new(&self.name);
        for (address, weight) in &self.members {
            let name = names.name(*address);
            children.push(Child::new(name.clone(), *weight));
            let balancer = LoadBalancer::new(self.name.clone(), [(*address).into()]);
            tcp.services.set_pool(name, balancer.into());
        }
        let parent: TcpService =
            if children.is_empty() { LoadBalancer::default().into() } else { Weighted::new(children).into() };
        tcp.services.set_pool(self.name.clone(), parent);
        tcp.routers
            .insert(self.name.clone(), TcpRouter::catch_all(self.entry_point, ROUTER_PRIORITY, self.name.clone()));
        let mut transport = ServersTransport::new(self.timeouts);
        if let Some(version) = self.proxy_protocol {
            transport = transport.proxy_protocol(version);
        }
        tcp.servers_transports.insert(self.name, transport);
    }
}

/// Names of the services of a pool's members. Its texts are used again for each of them.
struct ChildNames<'a> {
    pool: &'a Name,
    address: String,
    name: String,
}

impl<'a> ChildNames<'a> {
    fn new(pool: &'a Name) -> Self {
        Self { pool, address: String::new(), name: String::new() }
    }

    /// Returns the name of a member's service. It consists of the pool's name and the address, which is unique, and
    /// contains no text that a pod controls.
    fn name(&mut self, address: SocketAddr) -> Name {
        self.address.clear();
        push_address(&mut self.address, address);
        self.name.clear();
        self.name.push_str(self.pool.as_str());
        self.name.push('.');
        let allowed = |c: &char| !matches!(c, '[' | ']');
        self.name.extend(self.address.chars().filter(allowed).map(|c| if matches!(c, '.' | ':') { '-' } else { c }));
        Name::derived(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn configuration(members: &[(&str, u32)]) -> Configuration {
        let mut configuration = Configuration::default();
        TcpPool::new(name("default"), name("tcp"))
            .members(members.iter().map(|(address, weight)| Member::new(address.parse().unwrap(), *weight)))
            .add_to(&mut configuration);
        configuration
    }

    #[test]
    fn a_pool_has_one_service_per_backend_under_a_weighted_parent() {
        insta::assert_json_snapshot!("two_backends", configuration(&[("10.0.1.4:3333", 1), ("[fd00::1]:3333", 3)]));
    }

    #[test]
    fn a_pool_without_backends_closes_connections_and_keeps_its_router() {
        insta::assert_json_snapshot!("no_backends", configuration(&[]));
    }

    #[test]
    fn a_backend_without_weight_is_left_out() {
        assert_eq!(
            configuration(&[("10.0.1.4:3333", 1), ("10.0.1.5:3333", 0)]),
            configuration(&[("10.0.1.4:3333", 1)])
        );
    }

    #[test]
    fn two_pools_live_in_one_configuration() {
        let mut both = configuration(&[("10.0.1.4:3333", 1)]);
        TcpPool::new(name("other"), name("tcp-other"))
            .member(Member::new("10.0.1.4:3333".parse().unwrap(), 1))
            .add_to(&mut both);
        assert_eq!((both.tcp.routers.len(), both.tcp.services.len()), (2, 4));
    }
}
