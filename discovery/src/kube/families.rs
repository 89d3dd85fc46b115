//! The address families that backends may have.

use std::net::SocketAddr;

/// Address families that are used. A host with addresses of both families is one backend, at one of its addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Families {
    /// IPv4 where there is one, else IPv6.
    #[default]
    PreferIpv4,
    /// IPv6 where there is one, else IPv4.
    PreferIpv6,
    /// IPv4 only.
    OnlyIpv4,
    /// IPv6 only.
    OnlyIpv6,
}

impl Families {
    /// Returns the rank of the family of `address`: the smaller, the better. `None`: the family is not used.
    pub(super) fn rank(self, address: SocketAddr) -> Option<u8> {
        match (self, address.is_ipv4()) {
            (Self::PreferIpv4 | Self::OnlyIpv4, true) | (Self::PreferIpv6 | Self::OnlyIpv6, false) => Some(0),
            (Self::PreferIpv4, false) | (Self::PreferIpv6, true) => Some(1),
            (Self::OnlyIpv4, false) | (Self::OnlyIpv6, true) => None,
        }
    }
}
