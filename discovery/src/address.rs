//! Policy of the addresses that may be backends.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;

#[cfg(any(feature = "file", feature = "kube"))]
use crate::own_addresses::OwnAddresses;

/// Decides which addresses may be backends at all.
///
/// A pod's status is written by its node, and an address in it can point anywhere: `127.0.0.1` would be the balancer
/// itself, `169.254.169.254` the cloud's metadata service. So loopback, link-local, multicast, broadcast and unspecified
/// addresses are refused, also in their IPv4-mapped form. The policy can be narrowed to certain networks.
///
/// The sources also refuse the addresses of the network namespace that they run in: a selector that matches the
/// balancer's own pod would make it connect to itself without end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    allow_loopback: bool,
    allow_own: bool,
    /// Networks that a backend must be in; empty if every network is allowed.
    networks: Vec<IpNet>,
}

impl AddressPolicy {
    /// Accepts loopback addresses too. For tests only.
    #[must_use]
    pub fn allow_loopback(mut self) -> Self {
        self.allow_loopback = true;
        self
    }

    /// Accepts the addresses of the network namespace that the source runs in. For programs whose connections leave from
    /// elsewhere, and that share the network of a node with its backends.
    #[must_use]
    pub fn allow_own(mut self) -> Self {
        self.allow_own = true;
        self
    }

    /// Accepts only addresses in one of `networks`, such as the cluster's pod networks.
    ///
    /// Narrows the policy: an address that is refused in any network stays refused. An empty list of networks lifts the
    /// restriction.
    #[must_use]
    pub fn allow_only(mut self, networks: impl IntoIterator<Item = IpNet>) -> Self {
        self.networks = networks.into_iter().collect();
        self
    }

    /// Returns an error if `address` may not be a backend.
    pub fn check(&self, address: SocketAddr) -> Result<(), InvalidAddress> {
        let kind = match address.ip().to_canonical() {
            ip if ip.is_loopback() && !self.allow_loopback => "a loopback address",
            ip if ip.is_unspecified() => "an unspecified address",
            ip if ip.is_multicast() => "a multicast address",
            IpAddr::V4(ip) if ip.is_link_local() => "a link-local address",
            IpAddr::V4(Ipv4Addr::BROADCAST) => "a broadcast address",
            IpAddr::V6(ip) if ip.is_unicast_link_local() => "a link-local address",
            ip if !self.is_in_networks(ip) => "an address outside the allowed networks",
            _ if address.port() == 0 => "an address without a port",
            _ => return Ok(()),
        };
        Err(InvalidAddress { address, kind })
    }

    /// Returns an error if `address` is one of this network namespace and may not be a backend for that reason. Its
    /// loopback addresses are left to [`check`](Self::check).
    #[cfg(any(feature = "file", feature = "kube"))]
    pub(crate) fn check_own(&self, address: SocketAddr, own: &OwnAddresses) -> Result<(), InvalidAddress> {
        if self.allow_own || !own.contains(address.ip().to_canonical()) {
            return Ok(());
        }
        Err(InvalidAddress { address, kind: "an address of this network namespace" })
    }

    /// Returns whether networks are given and none of them has addresses of the family of `ip`.
    #[cfg(feature = "kube")]
    pub(crate) fn excludes_family(&self, ip: IpAddr) -> bool {
        let is_same = |network: &IpNet| network.addr().is_ipv4() == ip.is_ipv4();
        !self.networks.is_empty() && !self.networks.iter().any(is_same)
    }

    fn is_in_networks(&self, ip: IpAddr) -> bool {
        self.networks.is_empty() || self.networks.iter().any(|network| network.contains(&ip))
    }
}

/// Error of an address that an [`AddressPolicy`] refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address}: {kind} cannot be a backend")]
pub struct InvalidAddress {
    address: SocketAddr,
    kind: &'static str,
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
    fn an_error_names_the_address_and_the_rule() {
        let error = AddressPolicy::default().check(([127, 0, 0, 1], 80).into()).unwrap_err();
        assert_eq!(error.to_string(), "127.0.0.1:80: a loopback address cannot be a backend");
    }

    #[test]
    fn the_test_only_setting_lets_loopback_through_and_nothing_else() {
        let policy = AddressPolicy::default().allow_loopback();
        assert_eq!(policy.check(([127, 0, 0, 1], 1).into()), Ok(()));
        assert!(policy.check(([169, 254, 0, 1], 1).into()).is_err());
    }

    #[cfg(any(feature = "file", feature = "kube"))]
    #[test]
    fn own_addresses_are_refused_unless_they_are_allowed() {
        let own = OwnAddresses::fixed(["10.0.0.7", "127.0.0.1"].map(|ip| ip.parse().unwrap()));
        let check = |policy: AddressPolicy, address: &str| policy.check_own(address.parse().unwrap(), &own);
        let error = check(AddressPolicy::default(), "[::ffff:10.0.0.7]:1").unwrap_err().to_string();
        assert_eq!(error, "[::ffff:10.0.0.7]:1: an address of this network namespace cannot be a backend");
        assert_eq!(check(AddressPolicy::default(), "10.0.0.8:1"), Ok(()));
        assert_eq!(check(AddressPolicy::default().allow_own(), "10.0.0.7:1"), Ok(()));
        // The rule for loopback addresses governs them alone, so that tests on loopback work.
        assert_eq!(check(AddressPolicy::default().allow_loopback(), "127.0.0.1:1"), Ok(()));
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
