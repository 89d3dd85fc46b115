//! Proof that Traefik uses the routers and servers of a configuration.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    sync::{Mutex, PoisonError},
};

use super::{
    http::{Http, MAX_FIXED_RESPONSE_BYTES, MAX_LISTING_BYTES},
    reach::reachable,
    readback::{Findings, Listed, Process, Routers, ServerProof, Snapshot},
};
use crate::{
    Configuration, Error, Name,
    model::{LoadBalancer, TcpService},
    payload::Payload,
    process::StartDate,
};

/// Proves configurations, and remembers the services that the Traefik process was seen to have built.
///
/// A process that has built a service once builds the same definition again at each change. So the first proof looks at
/// everything, and later ones only at new services: the usual change moves one backend, or weights.
#[derive(Default)]
pub(super) struct Prover {
    seen: Mutex<Seen>,
}

/// Services that one process has built.
#[derive(Default)]
struct Seen {
    /// Start of the process; `None` before the first proof.
    started: Option<StartDate>,
    /// Fingerprints of the services that had all their servers.
    services: HashSet<u64>,
    /// Fingerprints of the services that had none, because the routers that use them were disabled.
    behind_disabled: HashSet<u64>,
}

/// Returns the maximum number of new services that are requested one by one, of this many services in all. More are
/// cheaper to get in one response with all others: for that, Traefik and this process take some 1/16 and 1/40 of the time
/// of a single request for each service that there is.
fn max_single_lookups(services: usize) -> usize {
    (services / 64).max(8)
}

/// A service with servers, and everything its servers depend on.
pub(super) struct Fact<'a> {
    name: &'a Name,
    balancer: &'a LoadBalancer,
    /// True if a router reaches the service, directly or through others.
    routed: bool,
    fingerprint: u64,
}

impl Prover {
    /// Returns what `process`, which has the revision in force, does not have as configured.
    pub(super) async fn prove(
        &self,
        http: &Http,
        configuration: &Configuration,
        payload: &Payload,
        facts: &[Fact<'_>],
        process: &Process,
    ) -> Result<BTreeMap<Name, Error>, Error> {
        let (unseen, behind_disabled): (Vec<_>, Vec<_>) = {
            let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            let same_process = seen.started.as_ref() == Some(&process.start_date);
            let unproved = facts.iter().filter(|fact| !same_process || !seen.services.contains(&fact.fingerprint));
            unproved.partition(|fact| !same_process || !seen.behind_disabled.contains(&fact.fingerprint))
        };
        let is_small = unseen.len() <= max_single_lookups(facts.len()) && configuration.udp.is_empty();
        let few = if is_small {
            prove_few(http, configuration, unseen.into_iter().chain(behind_disabled), process).await?
        } else {
            None
        };
        let findings = if let Some(findings) = few {
            findings
        } else {
            let max_bytes = MAX_LISTING_BYTES + 8 * payload.bytes().len();
            let body = http.get("api/rawdata", "GET /api/rawdata", max_bytes).await?;
            Snapshot::parse(&body)?.findings(configuration, payload.revision(), process)?
        };
        let unbuilt = findings.behind_disabled(configuration);
        let fingerprints = |is_meant: &dyn Fn(&Fact<'_>) -> bool| {
            let mut fingerprints = HashSet::with_capacity(facts.len());
            fingerprints.extend(facts.iter().filter(|fact| is_meant(fact)).map(|fact| fact.fingerprint));
            fingerprints
        };
        let seen = Seen {
            started: Some(process.start_date.clone()),
            services: fingerprints(&|fact| findings.is_proved(fact.name, &unbuilt)),
            behind_disabled: fingerprints(&|fact| unbuilt.contains(fact.name)),
        };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        Ok(findings.faults)
    }
}

/// Compares the routers on the first page of the list and, if these are all, the `unseen` services that Traefik should have
/// built; `None` if the page does not list all routers, or if these services are many.
async fn prove_few<'a>(
    http: &Http,
    configuration: &Configuration,
    unseen: impl Iterator<Item = &'a Fact<'a>>,
    process: &Process,
) -> Result<Option<Findings>, Error> {
    let body = http.get("api/tcp/routers?per_page=1000", "the routers", MAX_LISTING_BYTES).await?;
    let Some(mut findings) = Routers::parse(&body)?.findings(configuration) else { return Ok(None) };
    let expected: Vec<_> = {
        let unbuilt = findings.behind_disabled(configuration);
        unseen.filter(|fact| !unbuilt.contains(fact.name)).collect()
    };
    if expected.len() > max_single_lookups(configuration.tcp.services.len()) {
        return Ok(None);
    }
    for fact in expected {
        let path = format!("api/tcp/services/{}@rest", fact.name);
        let max_bytes = MAX_FIXED_RESPONSE_BYTES + 256 * fact.balancer.servers.len();
        let body = match http.get(&path, "a service", max_bytes).await {
            Ok(body) => Some(body),
            Err(Error::NotReady(_)) => None,
            Err(error) => return Err(error),
        };
        let listed = body.as_deref().map(Listed::parse).transpose()?;
        let proof = if fact.routed { process.server_proof() } else { ServerProof::Listed };
        let check = Listed::check_servers(listed.as_ref(), fact.name, &fact.balancer.servers, proof);
        findings.take_in(configuration, fact.name, check)?;
    }
    Ok(Some(findings))
}

/// Returns what has to be proved of `configuration`, besides its routers.
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
            let routed = reached.contains(name);
            Fact { name, balancer, routed, fingerprint: hasher.hash_one((name, balancer, routed, transports)) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Member, TcpPool, Timeouts, model::TcpRouter};

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
    fn a_change_of_weights_alone_makes_no_service_new() {
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
