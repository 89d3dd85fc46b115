//! The pools that a Traefik has in force, whoever has sent them.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::borrowed_text::BorrowedText;
use crate::{Error, Member, Name};

/// Routers and services for TCP, from `GET /api/rawdata`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct InForce<'a> {
    #[serde(borrow)]
    tcp_routers: BTreeMap<BorrowedText<'a>, Router<'a>>,
    #[serde(borrow)]
    tcp_services: HashMap<BorrowedText<'a>, Service<'a>>,
}

#[derive(Deserialize)]
struct Router<'a> {
    #[serde(borrow, default)]
    service: BorrowedText<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Service<'a> {
    #[serde(borrow)]
    load_balancer: Option<Balancer<'a>>,
    #[serde(borrow)]
    weighted: Option<Weighted<'a>>,
}

#[derive(Deserialize)]
struct Balancer<'a> {
    #[serde(borrow, default)]
    servers: Vec<Server<'a>>,
}

#[derive(Deserialize)]
struct Server<'a> {
    #[serde(borrow, default)]
    address: BorrowedText<'a>,
}

#[derive(Deserialize)]
struct Weighted<'a> {
    #[serde(borrow, default)]
    services: Vec<Child<'a>>,
}

#[derive(Deserialize)]
struct Child<'a> {
    #[serde(borrow)]
    name: BorrowedText<'a>,
    weight: Option<u32>,
}

/// Returns the members of each pool of the REST provider, by the name of its router, from the response to
/// `GET /api/rawdata`. What no pool contains, such as a server given by a name, is left out.
pub(super) fn parse(body: &[u8]) -> Result<BTreeMap<Name, Vec<Member>>, Error> {
    let in_force: InForce<'_> =
        serde_json::from_slice(body).map_err(|e| Error::unintelligible("GET /api/rawdata", e))?;
    let pool = |(name, router): (&BorrowedText<'_>, &Router<'_>)| {
        let name = name.as_str().strip_suffix("@rest")?.parse().ok()?;
        Some((name, in_force.members(router.service.as_str())?))
    };
    Ok(in_force.tcp_routers.iter().filter_map(pool).collect())
}

impl InForce<'_> {
    fn members(&self, service: &str) -> Option<Vec<Member>> {
        let service = self.service(service)?;
        let Some(weighted) = &service.weighted else {
            return Some(service.servers(1).collect());
        };
        let children = weighted.services.iter().filter_map(|child| {
            let service = self.service(child.name.as_str())?;
            Some(service.servers(child.weight.unwrap_or(1)))
        });
        Some(children.flatten().collect())
    }

    /// Returns the service of the REST provider with this name, whether it names the provider or not.
    fn service(&self, name: &str) -> Option<&Service<'_>> {
        let name = name.strip_suffix("@rest").unwrap_or(name);
        self.tcp_services.get(format!("{name}@rest").as_str())
    }
}

impl Service<'_> {
    fn servers(&self, weight: u32) -> impl Iterator<Item = Member> {
        let servers = self.load_balancer.iter().flat_map(|balancer| &balancer.servers);
        servers.filter_map(move |server| Some(Member::new(server.address.as_str().parse().ok()?, weight)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn members(members: &[(&str, u32)]) -> Vec<Member> {
        members.iter().map(|(address, weight)| Member::new(address.parse().unwrap(), *weight)).collect()
    }

    #[test]
    fn the_pools_of_the_rest_provider_are_read_with_their_weights() {
        let server = |address: &str| json!({"loadBalancer": {"servers": [{"address": address}]}, "status": "enabled"});
        let listed = json!({
            "routers": {"api@internal": {"service": "api@internal"}},
            "tcpRouters": {
                "a@rest": {"entryPoints": ["tcp"], "service": "a", "status": "enabled"},
                "b@rest": {"service": "b@rest", "status": "disabled", "error": ["no"]},
                "empty@rest": {"service": "empty"},
                "gone@rest": {"service": "gone"},
                "bootstrap@file": {"service": "bootstrap"},
            },
            "tcpServices": {
                "a@rest": {"weighted": {"services": [
                    {"name": "a.10-0-0-1-1", "weight": 7}, {"name": "a.--1-1@rest"}, {"name": "a.gone", "weight": 2},
                ]}},
                "a.10-0-0-1-1@rest": server("10.0.0.1:1"),
                "a.--1-1@rest": server("[::1]:1"),
                "b@rest": {"loadBalancer": {"servers": [{"address": "10.0.0.2:1"}, {"address": "db.example:1"}]}},
                "empty@rest": {"loadBalancer": {}},
                "bootstrap@file": {"loadBalancer": {"servers": []}},
                "rev-0123456789abcdef@rest": {"loadBalancer": {}},
            },
        });
        let pools = parse(listed.to_string().as_bytes()).unwrap();
        let name = |text: &str| text.parse::<Name>().unwrap();
        let expected = [
            (name("a"), members(&[("10.0.0.1:1", 7), ("[::1]:1", 1)])),
            (name("b"), members(&[("10.0.0.2:1", 1)])),
            (name("empty"), Vec::new()),
        ];
        assert_eq!(pools, expected.into());
    }

    #[test]
    fn a_traefik_without_a_configuration_has_no_pools() {
        assert_eq!(parse(b"{}").unwrap(), BTreeMap::new());
        assert!(parse(b"<html>").is_err());
    }
}
