//! The entry points of a Traefik process, and the part of a configuration that fits them.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
};

use serde::{Deserialize, de::IgnoredAny};

use super::{
    borrowed_text::BorrowedText,
    reach::{below, reachable_by, transports_of},
};
use crate::{Configuration, Error, Name};

/// Entry points for TCP of one Traefik process by their names. It has the same ones until it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EntryPoints(BTreeMap<String, EntryPoint>);

/// An entry point for TCP of Traefik.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryPoint {
    /// Port that it listens at; `None` if its address cannot be understood.
    pub port: Option<u16>,
    /// Set if it may take a header of the PROXY protocol off what a client sends.
    pub takes_proxy_protocol: bool,
}

impl EntryPoint {
    /// Creates an entry point that leaves what clients send as it is.
    pub fn new(port: u16) -> Self {
        Self { port: Some(port), takes_proxy_protocol: false }
    }
}

impl EntryPoints {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Listed<'a> {
            #[serde(borrow)]
            name: BorrowedText<'a>,
            #[serde(borrow, default)]
            address: BorrowedText<'a>,
            #[serde(default, rename = "proxyProtocol")]
            proxy_protocol: Option<IgnoredAny>,
        }
        let listed: Vec<Listed<'_>> =
            serde_json::from_slice(body).map_err(|e| Error::unintelligible("GET /api/entrypoints", e))?;
        let for_tcp = listed.iter().filter(|listed| !listed.address.as_str().ends_with("/udp"));
        let entry_point = |listed: &Listed<'_>| EntryPoint {
            port: port_of(listed.address.as_str()),
            takes_proxy_protocol: listed.proxy_protocol.is_some(),
        };
        Ok(Self(for_tcp.map(|listed| (listed.name.as_str().to_owned(), entry_point(listed))).collect()))
    }

    pub(super) fn get(&self, name: &str) -> Option<EntryPoint> {
        self.0.get(name).copied()
    }

    /// Returns the names, in alphabetical order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Returns `configuration` without the TCP routers that have none of these entry points, and without what only they
    /// use. The second value names the routers that are left out, with the reason.
    ///
    /// Traefik would accept such a router, disable it, and build its services nevertheless.
    pub(super) fn fit<'a>(&self, configuration: &'a Configuration) -> (Cow<'a, Configuration>, BTreeMap<Name, Error>) {
        let routers = configuration.tcp.routers.iter();
        let missing = |(name, router): (&Name, &crate::model::TcpRouter)| {
            let missing: Vec<_> = router.entry_points().iter().map(Name::to_string).collect();
            let known = || self.0.keys().cloned().collect();
            let has_one = missing.iter().any(|entry_point| self.0.contains_key(entry_point));
            (!has_one).then(|| (name.clone(), Error::EntryPointMissing { missing, known: known() }))
        };
        let faults: BTreeMap<_, _> = routers.filter_map(missing).collect();
        if faults.is_empty() {
            return (Cow::Borrowed(configuration), faults);
        }
        (Cow::Owned(without(configuration, |router| faults.contains_key(router))), faults)
    }
}

/// Returns the port of an address such as `:3333` or `[::]:3333/tcp`.
fn port_of(address: &str) -> Option<u16> {
    let (_, port) = address.rsplit_once(':')?;
    port.trim_end_matches("/tcp").parse().ok()
}

/// Returns `configuration` without these routers and what only they use.
fn without(configuration: &Configuration, is_left_out: impl Fn(&Name) -> bool) -> Configuration {
    let (gone, staying): (Vec<_>, Vec<_>) = configuration.tcp.routers.iter().partition(|(name, _)| is_left_out(name));
    let used_by_gone = reachable_by(configuration, gone.iter().map(|(_, router)| *router));
    let elsewhere = configuration.tcp.services.names().filter(|name| !used_by_gone.contains(name));
    let staying_services = staying.iter().map(|(_, router)| router.service());
    let kept: HashSet<_> = below(configuration, staying_services.chain(elsewhere));
    let transports = transports_of(configuration, |name| kept.contains(name));
    let other_transports = transports_of(configuration, |name| !kept.contains(name));

    let mut rest = configuration.clone();
    rest.tcp.routers.retain(|name, _| !is_left_out(name));
    rest.tcp.services.retain(|name| kept.contains(name));
    rest.tcp.servers_transports.retain(|name, _| transports.contains(name) || !other_transports.contains(name));
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Member, TcpPool,
        model::{Child, LoadBalancer, TcpRouter, Weight, Weighted},
    };

    const LISTED: &[u8] = br#"[{"address":":3333","name":"tcp","transport":{}},{"address":":53/udp","name":"dns"},
        {"address":"127.0.0.1:8080","name":"traefik"}]"#;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    fn pools(pools: &[(&str, &str)]) -> Configuration {
        let mut configuration = Configuration::default();
        for (pool, entry_point) in pools {
            TcpPool::new(name(pool), name(entry_point))
                .member(Member::new("10.0.0.1:1".parse().unwrap(), 1))
                .add_to(&mut configuration);
        }
        configuration
    }

    #[test]
    fn only_the_pools_at_entry_points_that_exist_are_left() {
        let entry_points = EntryPoints::parse(LISTED).unwrap();
        let configuration = pools(&[("a", "tcp"), ("b", "nope"), ("c", "dns")]);
        let (rest, faults) = entry_points.fit(&configuration);
        assert_eq!(*rest, pools(&[("a", "tcp")]));
        assert_eq!(faults.keys().map(Name::as_str).collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(faults["b"].to_string(), "Traefik has no entry point nope: it has tcp, traefik");
        let fitting = pools(&[("a", "tcp"), ("b", "traefik")]);
        assert!(matches!(entry_points.fit(&fitting), (Cow::Borrowed(_), faults) if faults.is_empty()));
    }

    #[test]
    fn an_entry_point_tells_its_port_and_whether_it_changes_what_clients_send() {
        let listed = br#"[{"name":"a","address":":3333"},{"name":"b","address":"[::1]:80/tcp","proxyProtocol":{"insecure":true}},
            {"name":"c","address":"nonsense","proxyProtocol":null}]"#;
        let entry_points = EntryPoints::parse(listed).unwrap();
        let told = ["a", "b", "c", "d"].map(|name| entry_points.get(name).map(|e| (e.port, e.takes_proxy_protocol)));
        assert_eq!(told, [Some((Some(3333), false)), Some((Some(80), true)), Some((None, false)), None]);
    }

    #[test]
    fn what_others_use_stays() {
        let mut configuration = pools(&[("a", "tcp"), ("b", "nope")]);
        let both = TcpRouter::catch_all(name("tcp"), 1, name("b"));
        configuration.tcp.routers.insert(name("c"), both);
        configuration.tcp.services.insert(name("spare"), LoadBalancer::default()).unwrap();
        let entry_points = EntryPoints::parse(LISTED).unwrap();
        let (rest, _) = entry_points.fit(&configuration);
        let mut expected = configuration.clone();
        expected.tcp.routers.remove("b");
        assert_eq!(*rest, expected);

        let unused = Weighted::new([Child::new(name("spare"), Weight::ONE)]);
        let mut configuration = pools(&[("b", "nope")]);
        configuration.tcp.services.insert(name("spare"), LoadBalancer::default()).unwrap();
        configuration.tcp.services.insert(name("unused"), unused).unwrap();
        let router = TcpRouter::catch_all(name("nope"), 1, name("spare"));
        configuration.tcp.routers.insert(name("d"), router);
        let left: Vec<_> = entry_points.fit(&configuration).0.tcp.services.names().map(Name::to_string).collect();
        assert_eq!(left, ["spare", "unused"], "a service is never left without one that it contains");
    }
}
