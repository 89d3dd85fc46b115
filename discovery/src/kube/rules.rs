//! The rules by which an object becomes backends, and what was found in one.

use std::net::SocketAddr;

use super::{options::KubeOptions, port::BackendPort};
use crate::{Capacity, State, Zone};

/// Rules by which an object becomes backends.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) port: BackendPort,
    pub(super) options: KubeOptions,
}

impl Rules {
    /// Chooses the one of a host's addresses that connections go to.
    pub(super) fn choose(
        &self,
        addresses: impl IntoIterator<Item = SocketAddr>,
        findings: &mut Findings,
    ) -> Option<SocketAddr> {
        let mut accepted: Vec<_> = addresses.into_iter().filter(|a| self.accepts(*a, findings)).collect();
        accepted.sort_by_key(|a| self.options.families.rank(*a)); // stable: the source's order within a family
        accepted.first().copied()
    }

    /// Returns whether `address` may be a backend, and complains if the policy refuses it.
    pub(super) fn accepts(&self, address: SocketAddr, findings: &mut Findings) -> bool {
        if self.options.families.rank(address).is_none() {
            return false;
        }
        let checked = self.options.addresses.check(address);
        if let Err(error) = &checked {
            findings.complain(format!("refused {error}"));
        }
        checked.is_ok()
    }
}

/// Backends found in one object.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) candidates: Vec<Candidate>,
    /// Mistake in the object that its owner should know of. It is logged once, until it changes.
    pub(super) complaint: Option<String>,
}

impl Findings {
    /// Keeps the first complaint: the next one is logged when the first has been dealt with.
    pub(super) fn complain(&mut self, text: String) {
        self.complaint.get_or_insert(text);
    }
}

/// Backend as one object describes it. Several objects can describe one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Identity of the host, where several objects can name addresses of one: of each host one address is used.
    pub(super) owner: Option<Box<str>>,
    pub(super) address: SocketAddr,
    pub(super) state: State,
    /// Set if it is draining and can still be used when nothing else is left.
    pub(super) last_resort: bool,
    pub(super) capacity: Capacity,
    pub(super) zone: Option<Zone>,
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::Families;

    fn rules(families: Families) -> Rules {
        Rules { port: 1.into(), options: KubeOptions::default().with_families(families) }
    }

    #[rstest]
    #[case(Families::PreferIpv4, Some("10.0.0.1:1"))]
    #[case(Families::PreferIpv6, Some("[fd00::1]:1"))]
    #[case(Families::OnlyIpv4, Some("10.0.0.1:1"))]
    #[case(Families::OnlyIpv6, Some("[fd00::1]:1"))]
    fn of_both_families_the_wanted_one_is_used(#[case] families: Families, #[case] chosen: Option<&str>) {
        for order in [["10.0.0.1:1", "[fd00::1]:1"], ["[fd00::1]:1", "10.0.0.1:1"]] {
            let addresses = order.map(|a| a.parse().unwrap());
            let address = rules(families).choose(addresses, &mut Findings::default());
            assert_eq!(address.map(|a| a.to_string()).as_deref(), chosen);
        }
    }

    #[rstest]
    #[case(Families::PreferIpv6, Some("10.0.0.1:1"))]
    #[case(Families::OnlyIpv6, None)]
    fn a_preference_takes_what_there_is_and_a_restriction_does_not(
        #[case] families: Families,
        #[case] chosen: Option<&str>,
    ) {
        let addresses = ["10.0.0.1:1", "[fe80::1]:1"].map(|a| a.parse().unwrap());
        let address = rules(families).choose(addresses, &mut Findings::default());
        assert_eq!(address.map(|a| a.to_string()).as_deref(), chosen);
    }
}
