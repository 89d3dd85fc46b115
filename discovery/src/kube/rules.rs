use std::{fmt, net::SocketAddr, ops::Deref, str::FromStr};

use super::options::KubeOptions;
use crate::{Capacity, State, Zone};

/// How an object becomes backends.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) port: BackendPort,
    pub(super) options: KubeOptions,
}

impl Rules {
    /// Of the addresses of one host the one that connections go to.
    pub(super) fn choose(
        &self,
        addresses: impl IntoIterator<Item = SocketAddr>,
        findings: &mut Findings,
    ) -> Option<SocketAddr> {
        let mut accepted: Vec<_> = addresses.into_iter().filter(|a| self.accepts(*a, findings)).collect();
        accepted.sort_by_key(|a| self.options.families.rank(*a)); // stable: the source's order within a family
        accepted.first().copied()
    }

    /// Whether `address` may be a backend.
    pub(super) fn accepts(&self, address: SocketAddr, findings: &mut Findings) -> bool {
        if self.options.families.rank(address).is_none() {
            return false;
        }
        match self.options.addresses.check(address) {
            Ok(()) => true,
            Err(why) => {
                findings.complain(format!("refused {address}: {why} cannot be a backend"));
                false
            }
        }
    }
}

/// What was found in one object.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) candidates: Vec<Candidate>,
    /// What its owner should know: told once, until it changes.
    pub(super) complaint: Option<String>,
}

impl Findings {
    /// Only the first complaint is kept: whoever repairs it sees the next one.
    pub(super) fn complain(&mut self, text: String) {
        self.complaint.get_or_insert(text);
    }
}

/// A backend as one object tells of it. Several objects can tell of one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Whose address it is, where several objects can name addresses of one owner: of each owner one is used.
    pub(super) owner: Option<Box<str>>,
    pub(super) address: SocketAddr,
    pub(super) state: State,
    /// Whether it can still be used, though it is draining, when nothing else is left.
    pub(super) last_resort: bool,
    pub(super) capacity: Capacity,
    pub(super) zone: Option<Zone>,
}

/// Which port of a pod or of an endpoint connections go to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BackendPort {
    /// This one. 0 is no port: what has it is no backend.
    Number(u16),
    /// The TCP port of this name: of a container, where pods are followed; of the Service, where slices are.
    Name(PortName),
}

impl From<u16> for BackendPort {
    fn from(number: u16) -> Self {
        Self::Number(number)
    }
}

impl From<PortName> for BackendPort {
    fn from(name: PortName) -> Self {
        Self::Name(name)
    }
}

impl FromStr for BackendPort {
    type Err = PortError;

    /// Digits are a number, everything else is a name.
    fn from_str(text: &str) -> Result<Self, PortError> {
        if text.bytes().all(|b| b.is_ascii_digit()) {
            let number = text.parse().ok().filter(|number| *number != 0);
            return number.map(Self::Number).ok_or_else(|| PortError(text.to_owned()));
        }
        PortName::new(text).map(Self::Name).ok_or_else(|| PortError(text.to_owned()))
    }
}

impl fmt::Display for BackendPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// Why a text is not a port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a port: expected 1 to 65535, or a name of at most 63 lowercase letters, digits and inner '-'")]
pub struct PortError(String);

/// The name of a port, as Kubernetes has it: 1 to 63 lowercase letters, digits and inner `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PortName(Box<str>);

impl PortName {
    /// `name`, if it has the form of a port's name.
    pub fn new(name: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let formed = name.len() <= 63
            && name.starts_with(plain)
            && name.ends_with(plain)
            && name.chars().all(|c| plain(c) || c == '-');
        formed.then(|| Self(name.into()))
    }
}

impl Deref for PortName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self)
    }
}

/// Which address families are used. A backend with addresses of both is one backend: one of them is used.
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
    /// The smaller, the better; `None`: not used at all.
    pub(super) fn rank(self, address: SocketAddr) -> Option<u8> {
        match (self, address.is_ipv4()) {
            (Self::PreferIpv4 | Self::OnlyIpv4, true) | (Self::PreferIpv6 | Self::OnlyIpv6, false) => Some(0),
            (Self::PreferIpv4, false) | (Self::PreferIpv6, true) => Some(1),
            (Self::OnlyIpv4, false) | (Self::OnlyIpv6, true) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("5432", Some("5432"))]
    #[case("db", Some("db"))]
    #[case("8x", Some("8x"))]
    #[case("0", None)]
    #[case("65536", None)]
    #[case("", None)]
    #[case("Db", None)]
    #[case("db-", None)]
    #[case("a b", None)]
    fn a_port_is_a_number_or_a_name(#[case] text: &str, #[case] parsed: Option<&str>) {
        assert_eq!(text.parse::<BackendPort>().ok().map(|p| p.to_string()).as_deref(), parsed);
    }

    #[rstest]
    #[case(Families::PreferIpv4, Some("10.0.0.1:1"))]
    #[case(Families::PreferIpv6, Some("[fd00::1]:1"))]
    #[case(Families::OnlyIpv4, Some("10.0.0.1:1"))]
    #[case(Families::OnlyIpv6, Some("[fd00::1]:1"))]
    fn of_both_families_the_wanted_one_is_used(#[case] families: Families, #[case] chosen: Option<&str>) {
        let rules = Rules { port: 1.into(), options: KubeOptions::default().with_families(families) };
        for order in [["10.0.0.1:1", "[fd00::1]:1"], ["[fd00::1]:1", "10.0.0.1:1"]] {
            let addresses = order.map(|a| a.parse().unwrap());
            assert_eq!(rules.choose(addresses, &mut Findings::default()).map(|a| a.to_string()).as_deref(), chosen);
        }
    }

    #[rstest]
    #[case(Families::PreferIpv6, Some("10.0.0.1:1"))]
    #[case(Families::OnlyIpv6, None)]
    fn a_preference_takes_what_there_is_and_a_restriction_does_not(
        #[case] families: Families,
        #[case] chosen: Option<&str>,
    ) {
        let rules = Rules { port: 1.into(), options: KubeOptions::default().with_families(families) };
        let addresses = ["10.0.0.1:1", "[fe80::1]:1"].map(|a| a.parse().unwrap());
        assert_eq!(rules.choose(addresses, &mut Findings::default()).map(|a| a.to_string()).as_deref(), chosen);
    }
}
