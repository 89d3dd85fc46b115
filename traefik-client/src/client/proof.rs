use std::{
    collections::HashSet,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::PoisonError,
};

use super::{
    Traefik,
    http::{MAX_FIXED_RESPONSE_BYTES, MAX_LISTING_BYTES},
    readback::{Listed, Process, Routers, Snapshot, reachable},
};
use crate::{Configuration, Error, LoadBalancer, Name, Payload, TcpService};

/// What one process of Traefik was seen to have built.
///
/// A process that has built a service once builds the same definition again at each change. So after the first proof,
/// which looks at everything, only what is new is looked at: the usual change moves one backend, or weights.
#[derive(Default)]
pub(super) struct Seen {
    /// When the process started.
    started: String,
    /// The fingerprints of services that had all their servers.
    services: HashSet<u64>,
}

/// Up to so many new services are looked at one by one; more come cheaper with everything else.
const MAX_SINGLE_LOOKUPS: usize = 8;

/// A service with servers, and what its servers depend on.
pub(super) struct Fact<'a> {
    name: &'a Name,
    balancer: &'a LoadBalancer,
    /// Whether a router reaches it: Traefik builds no other.
    built: bool,
    fingerprint: u64,
}

impl Traefik {
    /// Whether the process `process`, which has the revision, also uses the routers and has the servers.
    pub(super) async fn prove(
        &self,
        configuration: &Configuration,
        payload: &Payload,
        facts: &[Fact<'_>],
        process: &Process,
    ) -> Result<(), Error> {
        let unseen: Vec<_> = {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let known =
                |fact: &Fact<'_>| seen.started == process.start_date && seen.services.contains(&fact.fingerprint);
            facts.iter().filter(|fact| !known(fact)).collect()
        };
        let small = unseen.len() <= MAX_SINGLE_LOOKUPS && configuration.udp.is_empty();
        if !small || !self.prove_few(configuration, &unseen, process).await? {
            let longest = MAX_LISTING_BYTES + 8 * payload.bytes().len();
            let body = self.http.get("api/rawdata", "GET /api/rawdata", longest).await?;
            Snapshot::parse(&body)?.check(configuration, payload.revision(), process)?;
        }
        let services = facts.iter().map(|fact| fact.fingerprint).collect();
        let seen = Seen { started: process.start_date.clone(), services };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        Ok(())
    }

    /// Looks at the routers and the `unseen` services alone. `false`: not all routers are on the first page of the list.
    async fn prove_few(
        &self,
        configuration: &Configuration,
        unseen: &[&Fact<'_>],
        process: &Process,
    ) -> Result<bool, Error> {
        let body = self.http.get("api/tcp/routers?per_page=1000", "the routers", MAX_LISTING_BYTES).await?;
        if !Routers::parse(&body)?.check(configuration)? {
            return Ok(false);
        }
        for fact in unseen {
            let path = format!("api/tcp/services/{}@rest", fact.name);
            let body = match self
                .http
                .get(&path, "a service", MAX_FIXED_RESPONSE_BYTES + 256 * fact.balancer.servers.len())
                .await
            {
                Ok(body) => Some(body),
                Err(Error::NotReady(_)) => None,
                Err(error) => return Err(error),
            };
            let listed = body.as_deref().map(Listed::parse).transpose()?;
            let built = fact.built && process.tells_server_status();
            Listed::check_servers(listed.as_ref(), fact.name, &fact.balancer.servers, built)?;
        }
        Ok(true)
    }
}

pub(super) fn facts(configuration: &Configuration) -> Vec<Fact<'_>> {
    let hasher = BuildHasherDefault::<DefaultHasher>::default();
    let reached = reachable(configuration);
    let transports = hasher.hash_one(&configuration.tcp.servers_transports);
    let services = configuration.tcp.services.iter().filter_map(|(name, service)| match service {
        TcpService::LoadBalancer(balancer) => Some((name, balancer)),
        TcpService::Weighted(_) => None,
    });
    services
        .map(|(name, balancer)| {
            let built = reached.contains(name);
            Fact { name, balancer, built, fingerprint: hasher.hash_one((name, balancer, built, transports)) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Member, TcpPool, TcpRouter, Timeouts};

    fn pool(weight: u32, timeouts: Timeouts) -> Configuration {
        let mut configuration = Configuration::default();
        TcpPool::new("pool".parse().unwrap(), "tcp".parse().unwrap())
            .members([1, 2].map(|last: u8| Member::new(([10, 0, 0, last], 1).into(), weight)))
            .timeouts(timeouts)
            .add_to(&mut configuration);
        configuration
    }

    fn fingerprints(configuration: &Configuration) -> Vec<u64> {
        facts(configuration).iter().map(|fact| fact.fingerprint).collect()
    }

    #[test]
    fn a_change_of_weights_alone_is_nothing_new() {
        let timeouts = Timeouts::default();
        assert_eq!(fingerprints(&pool(1, timeouts)), fingerprints(&pool(7, timeouts)));
        assert_eq!(fingerprints(&pool(1, timeouts)).len(), 2);
    }

    #[test]
    fn what_the_servers_depend_on_makes_a_service_new() {
        let before = pool(1, Timeouts::default());
        let slower = Timeouts { dial: std::time::Duration::from_secs(9), ..Timeouts::default() };
        assert_ne!(fingerprints(&before), fingerprints(&pool(1, slower)));
        let mut unreached = before.clone();
        let elsewhere = TcpRouter::catch_all("tcp".parse().unwrap(), 1, "other".parse().unwrap());
        unreached.tcp.routers.insert("pool".parse().unwrap(), elsewhere);
        assert_ne!(fingerprints(&before), fingerprints(&unreached));
    }
}
