//! Responses of Traefik's API, and checks of what they list.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::Deserialize;

use super::{
    borrowed_text::BorrowedText,
    reach::{reachable, reachable_by, routers_of},
};
use crate::{
    Configuration, Error, Name, Revision,
    model::{Server, TcpRouter, TcpService, UdpService},
    process::{StartDate, Version},
};

/// A Traefik process, as `GET /api/version` describes it.
#[derive(Clone, Deserialize)]
pub(super) struct Process {
    #[serde(rename = "Version")]
    pub(super) version: Version,
    #[serde(rename = "startDate")]
    pub(super) start_date: StartDate,
}

impl Process {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Error> {
        parse(body, "GET /api/version")
    }

    /// Returns the proof that this process gives of the servers of a service that a router reaches: 3.6 and later list
    /// the servers that were built.
    pub(super) fn server_proof(&self) -> ServerProof {
        if self.version.is_at_least(3, 6) { ServerProof::Built } else { ServerProof::Listed }
    }
}

/// Kind of list that is compared with the configured servers of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServerProof {
    /// The servers that Traefik lists, which are those it was given.
    Listed,
    /// Both the listed servers and the built ones: an address that Traefik cannot use is listed but not built.
    Built,
}

/// Differences between a configuration and what Traefik lists.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// TCP routers that are not in force as configured, each with the first reason.
    pub(super) faults: BTreeMap<Name, Error>,
    /// Routers among them that are disabled, so that nothing behind them was built.
    disabled: HashSet<Name>,
    /// Services that were found to differ.
    differing: HashSet<Name>,
}

impl Findings {
    fn check_router(&mut self, name: &Name, listed: Option<&Listed<'_>>) {
        if let Err(error) = check_router(name, listed) {
            self.faults.insert(name.clone(), error);
            self.disabled.insert(name.clone());
        }
    }

    /// Returns the services that only disabled routers use. Traefik has not built them, so they prove nothing.
    pub(super) fn behind_disabled<'a>(&self, configuration: &'a Configuration) -> HashSet<&'a Name> {
        if self.disabled.is_empty() {
            return HashSet::new();
        }
        let (disabled, enabled): (Vec<_>, Vec<_>) =
            configuration.tcp.routers.iter().partition(|(name, _)| self.disabled.contains(*name));
        let used = |routers: Vec<(&Name, &'a TcpRouter)>| {
            reachable_by(configuration, routers.into_iter().map(|(_, router)| router))
        };
        let used_by_enabled = used(enabled);
        used(disabled).into_iter().filter(|name| !used_by_enabled.contains(name)).collect()
    }

    /// Returns whether the service was looked at and is as configured, or is known to be.
    pub(super) fn is_proved(&self, service: &Name, behind_disabled: &HashSet<&Name>) -> bool {
        !self.differing.contains(service) && !behind_disabled.contains(service)
    }

    /// Takes in the check of a service. A service that no router uses belongs to no router, so its fault is an error.
    pub(super) fn take_in(
        &mut self,
        configuration: &Configuration,
        service: &Name,
        check: Result<(), Error>,
    ) -> Result<(), Error> {
        let Err(error) = check else { return Ok(()) };
        let routers: Vec<_> = routers_of(configuration, |name, _| name == service).collect();
        if routers.is_empty() {
            return Err(error);
        }
        self.differing.insert(service.clone());
        for router in routers {
            self.faults.entry(router.clone()).or_insert_with(|| error.clone());
        }
        Ok(())
    }
}

/// Names of the revision markers that are in force, from `GET /api/tcp/services?search=rev-`.
#[derive(PartialEq)]
pub(super) struct Revisions(BTreeSet<String>);

impl Revisions {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Error> {
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        let services: Vec<Named> = parse(body, "the revisions")?;
        let names = services.into_iter().map(|service| service.name);
        Ok(Self(names.filter(|name| name.starts_with(Name::REVISION_PREFIX)).collect()))
    }

    pub(super) fn contain(&self, revision: &Revision) -> bool {
        self.0.contains(&at_rest(revision.name()))
    }
}

/// Snapshot of all that is in force at one moment, from `GET /api/rawdata`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(super) struct Snapshot<'a> {
    #[serde(borrow)]
    tcp_routers: BTreeMap<BorrowedText<'a>, Listed<'a>>,
    #[serde(borrow)]
    tcp_services: BTreeMap<BorrowedText<'a>, Listed<'a>>,
    #[serde(borrow)]
    udp_routers: BTreeMap<BorrowedText<'a>, Listed<'a>>,
    #[serde(borrow)]
    udp_services: BTreeMap<BorrowedText<'a>, Listed<'a>>,
}

/// First page of the routers, from `GET /api/tcp/routers`.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Routers<'a>(#[serde(borrow)] Vec<ListedRouter<'a>>);

#[derive(Deserialize)]
struct ListedRouter<'a> {
    #[serde(borrow)]
    name: BorrowedText<'a>,
    #[serde(flatten)]
    listed: Listed<'a>,
}

impl<'a> Routers<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, Error> {
        parse(body, "the routers")
    }

    /// Returns what differs from the routers of `configuration`; `None` if not all of them are listed.
    pub(super) fn findings(&self, configuration: &Configuration) -> Option<Findings> {
        let mut findings = Findings::default();
        for name in configuration.tcp.routers.keys() {
            let full_name = at_rest(name);
            let router = self.0.iter().find(|router| router.name.as_str() == full_name)?;
            findings.check_router(name, Some(&router.listed));
        }
        Some(findings)
    }
}

/// A router or service as Traefik lists it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
pub(super) struct Listed<'a> {
    #[serde(borrow)]
    status: BorrowedText<'a>,
    error: Vec<String>,
    #[serde(borrow)]
    load_balancer: Option<ListedBalancer<'a>>,
    /// Status by address. A hash map is smaller than an ordered one, and there is one for each backend.
    #[serde(borrow)]
    server_status: Option<HashMap<BorrowedText<'a>, BorrowedText<'a>>>,
}

#[derive(Deserialize)]
struct ListedBalancer<'a> {
    #[serde(default, borrow)]
    servers: Vec<ListedServer<'a>>,
}

#[derive(Deserialize)]
struct ListedServer<'a> {
    #[serde(borrow)]
    address: BorrowedText<'a>,
}

impl<'a> Snapshot<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, Error> {
        parse(body, "GET /api/rawdata")
    }

    /// Returns what differs from `configuration`, whose marker has to be in force.
    pub(super) fn findings(
        &self,
        configuration: &Configuration,
        revision: &Revision,
        process: &Process,
    ) -> Result<Findings, Error> {
        if !self.tcp_services.contains_key(at_rest(revision.name()).as_str()) {
            return Err(Error::Overwritten(revision.clone()));
        }
        self.check_udp(configuration)?;
        let mut findings = Findings::default();
        for name in configuration.tcp.routers.keys() {
            findings.check_router(name, self.tcp_routers.get(at_rest(name).as_str()));
        }
        let (reached, skipped) = (reachable(configuration), findings.behind_disabled(configuration));
        for (name, service) in configuration.tcp.services.iter().filter(|(name, _)| !skipped.contains(name)) {
            let listed = self.tcp_services.get(at_rest(name).as_str());
            let servers = match service {
                TcpService::LoadBalancer(balancer) => balancer.servers.as_slice(),
                TcpService::Weighted(_) => &[],
            };
            let proof = if reached.contains(name) { process.server_proof() } else { ServerProof::Listed };
            findings.take_in(configuration, name, Listed::check_servers(listed, name, servers, proof))?;
        }
        Ok(findings)
    }

    fn check_udp(&self, configuration: &Configuration) -> Result<(), Error> {
        for name in configuration.udp.routers.keys() {
            check_router(name, self.udp_routers.get(at_rest(name).as_str()))?;
        }
        for (name, service) in configuration.udp.services.iter() {
            let servers = match service {
                UdpService::LoadBalancer(balancer) => balancer.servers.as_slice(),
                UdpService::Weighted(_) => &[],
            };
            let meant: Vec<_> = servers.iter().map(|server| server.address.to_string()).collect();
            check_servers(name, &meant, self.udp_services.get(at_rest(name).as_str()), ServerProof::Listed)?;
        }
        Ok(())
    }
}

impl<'a> Listed<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, Error> {
        parse(body, "a service")
    }

    /// Checks that the service `name` is `listed` with these servers, by the given kind of proof.
    pub(super) fn check_servers(
        listed: Option<&Self>,
        name: &Name,
        servers: &[Server],
        proof: ServerProof,
    ) -> Result<(), Error> {
        let meant: Vec<_> = servers.iter().map(|server| server.address.to_string()).collect();
        check_servers(name, &meant, listed, proof)
    }
}

fn check_router(name: &Name, listed: Option<&Listed<'_>>) -> Result<(), Error> {
    let reason = match listed {
        Some(listed) if listed.status.as_str() == "enabled" => return Ok(()),
        Some(listed) if listed.error.is_empty() => format!("its status is '{}'", listed.status),
        Some(listed) => listed.error.join("; "),
        None => "it is not listed".to_owned(),
    };
    Err(Error::RouterDisabled { router: name.to_string(), reason })
}

/// Compares the addresses that are `meant` with those that are `listed`, and where `proof` asks for it also with those
/// that were built.
fn check_servers(name: &Name, meant: &[String], listed: Option<&Listed<'_>>, proof: ServerProof) -> Result<(), Error> {
    let differ = |problem: String| Err(Error::ServersDiffer { service: name.to_string(), problem });
    let Some(listed) = listed else { return differ("it is not listed".to_owned()) };
    let meant = meant.iter().map(String::as_str);
    let servers = listed.load_balancer.as_ref().map_or(&[][..], |balancer| &balancer.servers);
    let there = servers.iter().map(|server| server.address.as_str());
    if !meant.clone().eq(there.clone()) {
        return differ(difference(meant, there));
    }
    let built = listed.server_status.iter().flat_map(HashMap::keys).map(BorrowedText::as_str);
    // An address that is meant several times has one status.
    if proof == ServerProof::Built && meant.clone().collect::<BTreeSet<_>>() != built.clone().collect() {
        return differ(difference(meant, built));
    }
    Ok(())
}

/// Names the first few addresses that are missing or superfluous.
fn difference<'a>(meant: impl Iterator<Item = &'a str>, there: impl Iterator<Item = &'a str>) -> String {
    const MAX_SHOWN_ADDRESSES: usize = 5;
    let (meant, there): (BTreeSet<_>, BTreeSet<_>) = (meant.collect(), there.collect());
    let list = |from: &BTreeSet<&str>, without: &BTreeSet<&str>| {
        let each: Vec<_> = from.difference(without).take(MAX_SHOWN_ADDRESSES).copied().collect();
        if each.is_empty() { "none".to_owned() } else { each.join(" ") }
    };
    format!("missing {}, too much {}", list(&meant, &there), list(&there, &meant))
}

/// Returns the name under which Traefik lists what its REST provider configured.
fn at_rest(name: &Name) -> String {
    format!("{name}@rest")
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8], what: &'static str) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|e| Error::unintelligible(what, e))
}

#[cfg(test)]
mod tests;
