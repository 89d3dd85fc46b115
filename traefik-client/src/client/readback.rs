//! Responses of Traefik's API, and checks of what they list.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::Deserialize;

use super::borrowed_text::BorrowedText;
use crate::{
    Configuration, Error, Name, Revision,
    model::{Server, Service, TcpRouter, TcpService, UdpService},
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

/// Part of the configured routers that the first page of the list contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coverage {
    Complete,
    Partial,
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

    /// Checks that each listed router of `configuration` is enabled, and returns whether all of them are listed.
    pub(super) fn check(&self, configuration: &Configuration) -> Result<Coverage, Error> {
        for name in configuration.tcp.routers.keys() {
            let full_name = at_rest(name);
            let Some(router) = self.0.iter().find(|router| router.name.as_str() == full_name) else {
                return Ok(Coverage::Partial);
            };
            check_router(name, Some(&router.listed))?;
        }
        Ok(Coverage::Complete)
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

    /// Checks that `configuration` is in force: its marker, its routers enabled, its services with their servers.
    pub(super) fn check(
        &self,
        configuration: &Configuration,
        revision: &Revision,
        process: &Process,
    ) -> Result<(), Error> {
        if !self.tcp_services.contains_key(at_rest(revision.name()).as_str()) {
            return Err(Error::Overwritten(revision.clone()));
        }
        let tcp = configuration.tcp.routers.keys().map(|name| (name, &self.tcp_routers));
        let udp = configuration.udp.routers.keys().map(|name| (name, &self.udp_routers));
        for (name, listed) in tcp.chain(udp) {
            check_router(name, listed.get(at_rest(name).as_str()))?;
        }
        let reached = reachable(configuration);
        for (name, service) in configuration.tcp.services.iter() {
            let listed = self.tcp_services.get(at_rest(name).as_str());
            let servers = match service {
                TcpService::LoadBalancer(balancer) => balancer.servers.as_slice(),
                TcpService::Weighted(_) => &[],
            };
            let proof = if reached.contains(name) { process.server_proof() } else { ServerProof::Listed };
            Listed::check_servers(listed, name, servers, proof)?;
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

/// Returns the services that a router uses, directly or through other services. Traefik builds no others.
pub(super) fn reachable(configuration: &Configuration) -> HashSet<&Name> {
    let mut reached = HashSet::new();
    let mut left: Vec<_> = configuration.tcp.routers.values().map(TcpRouter::service).collect();
    while let Some(name) = left.pop() {
        if let Some(service) = configuration.tcp.services.get(name.as_str())
            && reached.insert(name)
        {
            left.extend(service.children());
        }
    }
    reached
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
