//! The limits within which a closer closes connections, whatever it is ordered.

use std::{collections::BTreeSet, net::IpAddr, num::NonZeroU32};

use ipnet::IpNet;

use crate::{
    closer::{How, Order, Refusal},
    netlink::ANY_COOKIE,
};

/// The limits within which a closer closes connections, whatever it is ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    networks: Vec<IpNet>,
    ports: BTreeSet<u16>,
    entry_ports: BTreeSet<u16>,
    max_rate: NonZeroU32,
    max_per_hour: NonZeroU32,
}

/// Limits that leave nothing to close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidLimits {
    /// There is no network of backends.
    #[error("give the networks of the backends, such as 10.0.0.0/8")]
    NoNetworks,
    /// There is no port of backends.
    #[error("give the ports of the backends, from 1 to 65535")]
    NoPorts,
    /// There is no port of the proxy.
    #[error("give the ports that the proxy listens on for clients, from 1 to 65535")]
    NoEntryPorts,
}

impl Limits {
    /// Number of closings a second that are allowed by default.
    pub const DEFAULT_MAX_RATE: NonZeroU32 = NonZeroU32::new(20).unwrap();

    /// Number of closings an hour that are allowed by default.
    pub const DEFAULT_MAX_PER_HOUR: NonZeroU32 = NonZeroU32::new(10_000).unwrap();

    /// Creates limits with the default rates: connections to these networks and ports, of the user that listens on one of
    /// the entry ports.
    pub fn new(
        networks: impl IntoIterator<Item = IpNet>,
        ports: impl IntoIterator<Item = u16>,
        entry_ports: impl IntoIterator<Item = u16>,
    ) -> Result<Self, InvalidLimits> {
        let valid = |ports: &BTreeSet<u16>| !ports.is_empty() && !ports.contains(&0);
        let networks: Vec<IpNet> = networks.into_iter().collect();
        let (ports, entry_ports) = (ports.into_iter().collect(), entry_ports.into_iter().collect());
        match () {
            () if networks.is_empty() => Err(InvalidLimits::NoNetworks),
            () if !valid(&ports) => Err(InvalidLimits::NoPorts),
            () if !valid(&entry_ports) => Err(InvalidLimits::NoEntryPorts),
            () => Ok(Self {
                networks,
                ports,
                entry_ports,
                max_rate: Self::DEFAULT_MAX_RATE,
                max_per_hour: Self::DEFAULT_MAX_PER_HOUR,
            }),
        }
    }

    /// Sets the number of closings a second; as many may follow each other at once.
    #[must_use]
    pub fn with_max_rate(self, max_rate: NonZeroU32) -> Self {
        Self { max_rate, ..self }
    }

    /// Sets the number of closings in any hour.
    #[must_use]
    pub fn with_max_per_hour(self, max_per_hour: NonZeroU32) -> Self {
        Self { max_per_hour, ..self }
    }

    /// Returns the networks of the backends.
    pub fn networks(&self) -> &[IpNet] {
        &self.networks
    }

    /// Returns the ports of the backends.
    pub fn ports(&self) -> &BTreeSet<u16> {
        &self.ports
    }

    /// Returns the ports on which the proxy listens for clients.
    pub fn entry_ports(&self) -> &BTreeSet<u16> {
        &self.entry_ports
    }

    /// Returns the number of closings a second.
    pub fn max_rate(&self) -> NonZeroU32 {
        self.max_rate
    }

    /// Returns the number of closings in any hour.
    pub fn max_per_hour(&self) -> NonZeroU32 {
        self.max_per_hour
    }

    /// Refuses what can be seen from the order alone.
    pub(crate) fn check(&self, order: &Order) -> Result<(), Refusal> {
        match () {
            () if [0, ANY_COOKIE].contains(&order.cookie) => Err(Refusal::NoCookie),
            // The remote side is a client, which may be anywhere.
            () if order.how == How::Half && self.entry_ports.contains(&order.local.port()) => Ok(()),
            () if order.how == How::Half => Err(Refusal::NotEntryPort),
            () if !self.covers(order.backend.ip()) => Err(Refusal::ForeignAddress),
            () if !self.ports.contains(&order.backend.port()) => Err(Refusal::ForeignPort),
            () => Ok(()),
        }
    }

    fn covers(&self, remote: IpAddr) -> bool {
        is_of_another_host(remote) && self.networks.iter().any(|network| network.contains(&remote))
    }
}

/// Returns `true` if the address may be that of a backend: no loopback, link-local, multicast or unspecified one, also if
/// it is an IPv4 address in the form of an IPv6 one.
fn is_of_another_host(ip: IpAddr) -> bool {
    let refused = ip.is_loopback() || ip.is_unspecified() || ip.is_multicast();
    !refused
        && match ip {
            IpAddr::V4(ip) => !ip.is_link_local() && !ip.is_broadcast(),
            IpAddr::V6(ip) => !ip.is_unicast_link_local() && ip.to_ipv4_mapped().is_none(),
        }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::closer::Conditions;

    fn limits() -> Limits {
        let networks = ["10.0.0.0/8", "fd00::/8", "0.0.0.0/0", "::/0"].map(|network| network.parse().unwrap());
        Limits::new(networks, [5432], [3333]).unwrap()
    }

    fn order(backend: &str, cookie: u64) -> Order {
        let (backend, local) = (backend.parse().unwrap(), "10.0.0.1:40000".parse().unwrap());
        Order { backend, local, cookie, how: How::Finish, only_if: Conditions::NONE }
    }

    #[rstest]
    #[case::of_the_network("10.0.0.7:5432", 7, Ok(()))]
    #[case::of_the_ipv6_network("[fd00::7]:5432", 7, Ok(()))]
    #[case::without_cookie("10.0.0.7:5432", 0, Err(Refusal::NoCookie))]
    #[case::with_any_cookie("10.0.0.7:5432", u64::MAX, Err(Refusal::NoCookie))]
    #[case::other_port("10.0.0.7:6443", 7, Err(Refusal::ForeignPort))]
    #[case::loopback("127.0.0.1:5432", 7, Err(Refusal::ForeignAddress))]
    #[case::loopback("[::1]:5432", 7, Err(Refusal::ForeignAddress))]
    #[case::mapped_loopback("[::ffff:127.0.0.1]:5432", 7, Err(Refusal::ForeignAddress))]
    #[case::mapped("[::ffff:10.0.0.7]:5432", 7, Err(Refusal::ForeignAddress))]
    #[case::link_local("169.254.169.254:5432", 7, Err(Refusal::ForeignAddress))]
    #[case::link_local("[fe80::1]:5432", 7, Err(Refusal::ForeignAddress))]
    #[case::unspecified("0.0.0.0:5432", 7, Err(Refusal::ForeignAddress))]
    #[case::unspecified("[::]:5432", 7, Err(Refusal::ForeignAddress))]
    #[case::multicast("224.0.0.1:5432", 7, Err(Refusal::ForeignAddress))]
    fn an_order_is_refused_by_its_cookie_address_and_port(
        #[case] backend: &str,
        #[case] cookie: u64,
        #[case] expected: Result<(), Refusal>,
    ) {
        assert_eq!(limits().check(&order(backend, cookie)), expected);
    }

    #[test]
    fn an_address_outside_of_the_networks_is_refused() {
        let limits = Limits::new(["10.0.0.0/8".parse().unwrap()], [5432], [3333]).unwrap();
        assert_eq!(limits.check(&order("192.0.2.1:5432", 7)), Err(Refusal::ForeignAddress));
        assert_eq!(limits.check(&order("[fd00::7]:5432", 7)), Err(Refusal::ForeignAddress));
    }

    #[rstest]
    #[case::of_a_client("192.0.2.7:50000", 3333, 7, Ok(()))]
    #[case::of_a_client_beside_the_proxy("127.0.0.1:50000", 3333, 7, Ok(()))]
    #[case::to_a_backend("10.0.0.7:5432", 40000, 7, Err(Refusal::NotEntryPort))]
    #[case::at_the_port_of_backends("10.0.0.7:50000", 5432, 7, Err(Refusal::NotEntryPort))]
    #[case::without_cookie("192.0.2.7:50000", 3333, 0, Err(Refusal::NoCookie))]
    #[case::with_any_cookie("192.0.2.7:50000", 3333, u64::MAX, Err(Refusal::NoCookie))]
    fn a_half_is_one_of_an_entry_port(
        #[case] client: &str,
        #[case] port: u16,
        #[case] cookie: u64,
        #[case] expected: Result<(), Refusal>,
    ) {
        let local = ([10, 0, 0, 1], port).into();
        assert_eq!(limits().check(&Order { local, how: How::Half, ..order(client, cookie) }), expected);
    }

    #[test]
    fn limits_without_anything_to_close_are_invalid() {
        let network = || ["10.0.0.0/8".parse().unwrap()];
        assert_eq!(Limits::new([], [1], [1]), Err(InvalidLimits::NoNetworks));
        assert_eq!(Limits::new(network(), [], [1]), Err(InvalidLimits::NoPorts));
        assert_eq!(Limits::new(network(), [0], [1]), Err(InvalidLimits::NoPorts));
        assert_eq!(Limits::new(network(), [1], []), Err(InvalidLimits::NoEntryPorts));
    }
}
