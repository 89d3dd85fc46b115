//! The rules by which an object becomes backends, and what was found in one.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Instant, SystemTime},
};

use super::{options::KubeOptions, port::BackendPort, server_clock::ServerClock};
use crate::{Capacity, PodRef, State, Zone, own_addresses::OwnAddresses};

/// Rules by which an object becomes backends.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) port: BackendPort,
    pub(super) options: KubeOptions,
    pub(super) own: OwnAddresses,
    pub(super) clock: ServerClock,
}

impl Rules {
    /// Creates the rules of a source with these options.
    pub(super) fn new(port: BackendPort, options: KubeOptions) -> Self {
        Self { port, options, own: OwnAddresses::default(), clock: ServerClock::default() }
    }

    /// Chooses the one of a host's addresses that connections go to. Complains if there are some and none may be a
    /// backend.
    pub(super) fn choose(
        &self,
        addresses: impl IntoIterator<Item = SocketAddr>,
        findings: &mut Findings,
    ) -> Option<SocketAddr> {
        let (mut accepted, mut refused) = (Vec::new(), None);
        for address in addresses {
            match self.check(address) {
                Ok(()) => accepted.push(address),
                Err(refusal) => drop(refused.get_or_insert(refusal)),
            }
        }
        accepted.sort_by_key(|a| self.options.families.rank(*a)); // stable: the source's order within a family
        if let (true, Some(refusal)) = (accepted.is_empty(), refused) {
            findings.complain(refusal);
        }
        accepted.first().copied()
    }

    /// Returns whether `address`, one of perhaps several of its host, may be a backend. Complains if it may not, unless
    /// its family is not used at all: the host may have an address of the other family, elsewhere.
    pub(super) fn accepts(&self, address: SocketAddr, findings: &mut Findings) -> bool {
        let KubeOptions { families, addresses, .. } = &self.options;
        if families.rank(address).is_none() || addresses.excludes_family(address.ip()) {
            return false;
        }
        self.check(address).map_err(|refusal| findings.complain(refusal)).is_ok()
    }

    /// Returns the complaint about an address that may not be a backend.
    fn check(&self, address: SocketAddr) -> Result<(), String> {
        let KubeOptions { families, addresses, .. } = &self.options;
        if families.rank(address).is_none() {
            return Err(format!("its address {} is of a family that is not used", address.ip()));
        }
        let checked = addresses.check(address).and_then(|()| addresses.check_own(address, &self.own));
        checked.map_err(|error| format!("refused {error}"))
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

/// Quotes and shortens untrusted text before it reaches a log.
pub(super) fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}

/// Names a pod by texts of the API server, if they are names.
pub(super) fn pod_ref(namespace: Option<&str>, name: Option<&str>, node: Option<&str>) -> Option<Arc<PodRef>> {
    let pod = PodRef::try_new(namespace?, name?).ok()?;
    Some(Arc::new(node.map_or(pod.clone(), |node| pod.with_node(node))))
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
    pub(super) max_connections: Option<u32>,
    pub(super) deletion: Option<Deletion>,
    /// Name of the pod behind it.
    pub(super) pod: Option<Arc<PodRef>>,
    /// Number of restarts of its containers.
    pub(super) restarts: Option<u16>,
}

/// The end of an object that is being deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deletion {
    /// Date of its end, by the clock of the API server.
    pub(super) date: SystemTime,
    /// Moment of that date. It is found out once for each date: each time, it would be another one by a second at most.
    pub(super) moment: Instant,
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::{AddressPolicy, Families};

    fn rules(families: Families) -> Rules {
        Rules::new(1.into(), KubeOptions::default().with_families(families))
    }

    /// Chooses one of these addresses, and returns the complaint.
    fn choose(rules: &Rules, addresses: &[&str]) -> (Option<String>, Option<String>) {
        let mut findings = Findings::default();
        let chosen = rules.choose(addresses.iter().map(|a| a.parse().unwrap()), &mut findings);
        (chosen.map(|a| a.to_string()), findings.complaint)
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

    #[test]
    fn a_refused_address_is_no_matter_while_the_host_has_another() {
        let only_v4 = AddressPolicy::default().allow_only(["10.0.0.0/8".parse().unwrap()]);
        let rules = Rules::new(1.into(), KubeOptions::default().with_addresses(only_v4));
        assert_eq!(choose(&rules, &["[fd00::1]:1", "10.0.0.1:1"]), (Some("10.0.0.1:1".into()), None));
        let (chosen, complaint) = choose(&rules, &["[fd00::1]:1"]);
        assert_eq!((chosen, complaint.unwrap().contains("outside the allowed networks")), (None, true));
        assert_eq!(choose(&rules, &[]), (None, None));
    }

    #[test]
    fn a_host_without_an_address_of_a_family_that_is_used_is_complained_of() {
        let (chosen, complaint) = choose(&self::rules(Families::OnlyIpv6), &["10.0.0.1:1"]);
        assert_eq!(chosen, None);
        assert_eq!(complaint.unwrap(), "its address 10.0.0.1 is of a family that is not used");
    }

    #[test]
    fn one_of_several_addresses_is_refused_with_a_complaint_unless_its_whole_family_is_unused() {
        let only_v4 = AddressPolicy::default().allow_only(["10.0.0.0/8".parse().unwrap()]);
        let rules = Rules::new(1.into(), KubeOptions::default().with_addresses(only_v4));
        for (address, complained) in [("[fd00::1]:1", false), ("192.168.0.1:1", true)] {
            let mut findings = Findings::default();
            assert!(!rules.accepts(address.parse().unwrap(), &mut findings));
            assert_eq!(findings.complaint.is_some(), complained, "{address}");
        }
    }

    #[test]
    fn own_addresses_are_refused_with_a_complaint() {
        let own = OwnAddresses::fixed(["10.0.0.7".parse().unwrap()]);
        let rules = Rules { own, ..Rules::new(1.into(), KubeOptions::default()) };
        let (chosen, complaint) = choose(&rules, &["10.0.0.7:1"]);
        assert_eq!(chosen, None);
        assert_eq!(complaint.unwrap(), "refused 10.0.0.7:1: an address of this network namespace cannot be a backend");
        assert!(!rules.accepts("10.0.0.7:1".parse().unwrap(), &mut Findings::default()));
        assert!(rules.accepts("10.0.0.8:1".parse().unwrap(), &mut Findings::default()));
    }
}
