use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde::Deserialize;

use super::borrowed_text::BorrowedText;
use crate::{Configuration, Error, Name, Revision, Server, Service, TcpService};

/// `GET /api/version`: one process of Traefik.
#[derive(Clone, Deserialize)]
pub(super) struct Process {
    #[serde(rename = "Version")]
    pub(super) version: String,
    #[serde(rename = "startDate")]
    pub(super) start_date: String,
}

impl Process {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Error> {
        parse(body, "GET /api/version")
    }

    /// Whether it says which servers it has really built: 3.6 and later do.
    pub(super) fn tells_server_status(&self) -> bool {
        let mut numbers = self.version.trim_start_matches('v').split('.').map_while(|part| part.parse::<u32>().ok());
        numbers.next().zip(numbers.next()).is_some_and(|version| version >= (3, 6))
    }
}

/// `GET /api/tcp/services?search=rev-`: the names of the markers that are in force.
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

/// `GET /api/rawdata`: everything that is in force at one moment.
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

/// `GET /api/tcp/routers`: the first page of it.
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

    /// Whether all routers are here; each that is has to be enabled.
    pub(super) fn check(&self, configuration: &Configuration) -> Result<bool, Error> {
        for name in configuration.tcp.routers.keys() {
            let full_name = at_rest(name);
            let Some(router) = self.0.iter().find(|router| router.name.as_str() == full_name) else { return Ok(false) };
            check_router(name, Some(&router.listed))?;
        }
        Ok(true)
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
    /// By server; smaller than an ordered map, of which there would be one for each backend.
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

    /// Whether what is in force is `configuration`: its marker, its routers enabled, its services with their servers.
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
        let built = if process.tells_server_status() { reachable(configuration) } else { HashSet::new() };
        for (name, service) in configuration.tcp.services.iter() {
            let listed = self.tcp_services.get(at_rest(name).as_str());
            let servers = match service {
                TcpService::LoadBalancer(balancer) => balancer.servers.as_slice(),
                TcpService::Weighted(_) => &[],
            };
            Listed::check_servers(listed, name, servers, built.contains(name))?;
        }
        for (name, service) in configuration.udp.services.iter() {
            let servers = match service {
                crate::UdpService::LoadBalancer(balancer) => balancer.servers.as_slice(),
                crate::UdpService::Weighted(_) => &[],
            };
            let meant: Vec<_> = servers.iter().map(|server| server.address.to_string()).collect();
            check_servers(name, &meant, self.udp_services.get(at_rest(name).as_str()), false)?;
        }
        Ok(())
    }
}

impl<'a> Listed<'a> {
    pub(super) fn parse(body: &'a [u8]) -> Result<Self, Error> {
        parse(body, "a service")
    }

    /// Whether the service `name` is `listed` with these servers, and if so meant has also `built` them.
    pub(super) fn check_servers(
        listed: Option<&Self>,
        name: &Name,
        servers: &[Server],
        built: bool,
    ) -> Result<(), Error> {
        let meant: Vec<_> = servers.iter().map(|server| server.address.to_string()).collect();
        check_servers(name, &meant, listed, built)
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

/// Compares the list of servers, and of a service that a router reaches also which ones were `built`: an address that
/// Traefik cannot use is in its list all the same.
fn check_servers(name: &Name, meant: &[String], listed: Option<&Listed<'_>>, built: bool) -> Result<(), Error> {
    let differ = |problem: String| Err(Error::ServersDiffer { service: name.to_string(), problem });
    let Some(listed) = listed else { return differ("it is not listed".to_owned()) };
    let meant = meant.iter().map(String::as_str);
    let servers = listed.load_balancer.as_ref().map_or(&[][..], |balancer| &balancer.servers);
    let there = servers.iter().map(|server| server.address.as_str());
    if !meant.clone().eq(there.clone()) {
        return differ(difference(meant, there));
    }
    let built_servers = listed.server_status.iter().flat_map(HashMap::keys).map(BorrowedText::as_str);
    // One address may be meant several times; it has one status.
    if built && meant.clone().collect::<BTreeSet<_>>() != built_servers.clone().collect() {
        return differ(difference(meant, built_servers));
    }
    Ok(())
}

/// The first few addresses that are missing or too much.
fn difference<'a>(meant: impl Iterator<Item = &'a str>, there: impl Iterator<Item = &'a str>) -> String {
    const MAX_SHOWN_ADDRESSES: usize = 5;
    let (meant, there): (BTreeSet<_>, BTreeSet<_>) = (meant.collect(), there.collect());
    let list = |from: &BTreeSet<&str>, without: &BTreeSet<&str>| {
        let each: Vec<_> = from.difference(without).take(MAX_SHOWN_ADDRESSES).copied().collect();
        if each.is_empty() { "none".to_owned() } else { each.join(" ") }
    };
    format!("missing {}, too much {}", list(&meant, &there), list(&there, &meant))
}

/// The services that a router uses, directly or through others. Traefik builds no other.
pub(super) fn reachable(configuration: &Configuration) -> HashSet<&Name> {
    let mut reached = HashSet::new();
    let mut left: Vec<_> = configuration.tcp.routers.values().map(crate::TcpRouter::service).collect();
    while let Some(name) = left.pop() {
        if let Some(service) = configuration.tcp.services.get(name.as_str())
            && reached.insert(name)
        {
            left.extend(service.children());
        }
    }
    reached
}

fn at_rest(name: &Name) -> String {
    format!("{name}@rest")
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8], what: &'static str) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|e| Error::Unintelligible { what, problem: e.to_string() })
}

#[cfg(test)]
mod tests;
