//! The addresses of a cluster.

use std::str::FromStr;

use anyhow::bail;

/// The addresses that the node, the pods and the Services of a cluster have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// IPv4 alone.
    Ipv4,
    /// IPv6 alone.
    Ipv6,
    /// Both; what has one address has one of IPv4.
    Dual,
}

impl Family {
    /// Returns the name that the scripts of the cluster know.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
            Self::Dual => "dual",
        }
    }

    /// Returns the address at which a server accepts connections of each family that the cluster has.
    pub(crate) fn any_address(self) -> &'static str {
        match self {
            Self::Ipv4 => "0.0.0.0",
            Self::Ipv6 | Self::Dual => "[::]",
        }
    }

    /// Returns the networks of the pods, as in `testbed/cluster/lib.sh`.
    pub(crate) fn pod_networks(self) -> &'static [&'static str] {
        match self {
            Self::Ipv4 => &["10.244.0.0/16"],
            Self::Ipv6 => &["fd00:244::/64"],
            Self::Dual => &["10.244.0.0/16", "fd00:244::/64"],
        }
    }
}

impl FromStr for Family {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        match text {
            "ipv4" => Ok(Self::Ipv4),
            "ipv6" => Ok(Self::Ipv6),
            "dual" => Ok(Self::Dual),
            _ => bail!("FAMILY is {text:?}: it can be ipv4, ipv6 or dual"),
        }
    }
}
