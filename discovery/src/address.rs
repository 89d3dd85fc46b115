use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;

/// Which addresses may be backends at all.
///
/// A pod's status is written by its node, and an address in it can point anywhere: `127.0.0.1` would be the balancer
/// itself, `169.254.169.254` the cloud's metadata service. So loopback, link-local, multicast, broadcast and unspecified
/// addresses are refused, also in their IPv4-mapped form. Networks can be named outside of which nothing is a backend.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    allow_loopback: bool,
    /// Empty: no restriction.
    networks: Vec<IpNet>,
}

impl AddressPolicy {
    /// The same policy, but loopback addresses are let through. For tests only.
    #[must_use]
    pub fn allow_loopback(mut self, allow: bool) -> Self {
        self.allow_loopback = allow;
        self
    }

    /// The same policy, but only addresses in one of `networks`, such as the cluster's pod networks, are let through.
    ///
    /// It narrows the policy: what is refused in general stays refused. No network at all lifts the restriction.
    #[must_use]
    pub fn allow_only(mut self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        self.networks = networks.into_iter().collect();
        self
    }

    /// Whether `address` may be a backend; `Err` says why not.
    pub fn check(&self, address: SocketAddr) -> Result<(), &'static str> {
        match address.ip().to_canonical() {
            ip if ip.is_loopback() && !self.allow_loopback => Err("a loopback address"),
            ip if ip.is_unspecified() => Err("an unspecified address"),
            ip if ip.is_multicast() => Err("a multicast address"),
            IpAddr::V4(ip) if ip.is_link_local() => Err("a link-local address"),
            IpAddr::V4(Ipv4Addr::BROADCAST) => Err("a broadcast address"),
            IpAddr::V6(ip) if ip.is_unicast_link_local() => Err("a link-local address"),
            ip if !self.is_in_networks(ip) => Err("an address outside the allowed networks"),
            _ if address.port() == 0 => Err("an address without a port"),
            _ => Ok(()),
        }
    }

    fn is_in_networks(&self, ip: IpAddr) -> bool {
        self.networks.is_empty() || self.networks.iter().any(|network| network.contains(&ip))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("10.0.0.1:3333", true)]
    #[case("[fd00::1]:3333", true)]
    #[case("10.0.0.1:0", false)]
    #[case("127.0.0.1:3333", false)]
    #[case("127.8.8.8:3333", false)]
    #[case("[::1]:3333", false)]
    #[case("[::ffff:127.0.0.1]:3333", false)]
    #[case("169.254.169.254:80", false)]
    #[case("[::ffff:169.254.169.254]:80", false)]
    #[case("[fe80::1]:3333", false)]
    #[case("224.0.0.1:3333", false)]
    #[case("[ff02::1]:3333", false)]
    #[case("255.255.255.255:3333", false)]
    #[case("0.0.0.0:3333", false)]
    #[case("[::]:3333", false)]
    fn only_addresses_of_other_hosts_can_be_backends(#[case] address: SocketAddr, #[case] accepted: bool) {
        assert_eq!(AddressPolicy::default().check(address).is_ok(), accepted);
    }

    #[test]
    fn the_test_only_setting_lets_loopback_through_and_nothing_else() {
        let policy = AddressPolicy::default().allow_loopback(true);
        assert_eq!(policy.check(([127, 0, 0, 1], 1).into()), Ok(()));
        assert!(policy.check(([169, 254, 0, 1], 1).into()).is_err());
    }

    #[rstest]
    #[case("10.1.2.3:1", true)]
    #[case("[::ffff:10.1.2.3]:1", true)]
    #[case("[fd00::7]:1", true)]
    #[case("10.2.0.1:1", false)]
    #[case("[fd01::7]:1", false)]
    #[case("169.254.0.1:1", false)]
    fn allowed_networks_narrow_what_may_be_a_backend(#[case] address: SocketAddr, #[case] accepted: bool) {
        let networks = ["10.1.0.0/16", "fd00::/64", "169.254.0.0/16"].map(|n| n.parse().unwrap());
        assert_eq!(AddressPolicy::default().allow_only(networks).check(address).is_ok(), accepted);
    }
}
