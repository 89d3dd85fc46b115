//! What the fuzz targets call: parsers of what Traefik answers. The targets panic on a panic in the parser, and on a proof
//! that the answer does not give.

use super::{
    echo,
    entry_points::EntryPoints,
    pools,
    readback::{Listed, Process, Revisions, Routers, ServerProof, Snapshot},
};
use crate::{Configuration, Member, Revision, TcpPool, model::TcpService, payload::Payload};

/// Compares an answer of Traefik's API with the configuration that should be in force.
pub fn traefik_answers(data: &[u8]) {
    let configuration = one_pool();
    let revision = Revision::from(&configuration);
    let contains = |text: &str| memchr::memmem::find(data, text.as_bytes()).is_some();
    let process =
        Process::parse(data).unwrap_or_else(|_| Process { version: "3.7.0".into(), start_date: "then".into() });
    let _ = process.server_proof();
    drop(Revisions::parse(data));
    drop(pools::parse(data));
    if let Ok(entry_points) = EntryPoints::parse(data) {
        let (fitting, faults) = entry_points.fit(&configuration);
        assert_eq!(*fitting == configuration, faults.is_empty(), "a pool is left out or has no fault");
    }
    if let Ok(snapshot) = Snapshot::parse(data)
        && let Ok(findings) = snapshot.findings(&configuration, &revision, &process)
    {
        drop(findings.behind_disabled(&configuration));
        assert!(is_escaped(data) || contains(revision.name().as_str()), "a proof without the revision");
    }
    if let Ok(routers) = Routers::parse(data)
        && let Some(findings) = routers.findings(&configuration)
        && findings.faults.is_empty()
    {
        assert!(is_escaped(data) || contains("enabled"), "a proof without a router");
    }
    if let Ok(listed) = Listed::parse(data) {
        for (name, service) in configuration.tcp.services.iter() {
            let TcpService::LoadBalancer(balancer) = service else { continue };
            for proof in [ServerProof::Listed, ServerProof::Built] {
                if Listed::check_servers(Some(&listed), name, &balancer.servers, proof).is_ok() {
                    let address = |server: &crate::model::Server| contains(&server.address.to_string());
                    assert!(is_escaped(data) || balancer.servers.iter().all(address), "a proof without the servers");
                }
            }
        }
    }
}

/// Compares Traefik's echo of a configuration with what was sent.
pub fn traefik_echo(data: &[u8]) {
    let sent = Payload::new(&one_pool());
    drop(echo::dropped(sent.bytes(), data));
    // As if it had been sent: then every key comes back.
    if serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(data).is_ok() {
        assert_eq!(echo::dropped(data, data).ok(), Some(Vec::new()));
    }
}

/// Parses a configuration, which must be the same after it has been written and parsed again.
pub fn configuration(data: &[u8]) {
    if let Ok(configuration) = serde_json::from_slice::<Configuration>(data) {
        let written = serde_json::to_vec(&configuration).unwrap_or_default();
        assert_eq!(serde_json::from_slice(&written).ok(), Some(configuration));
    }
}

fn one_pool() -> Configuration {
    let mut configuration = Configuration::default();
    if let (Ok(name), Ok(entry_point)) = ("pool".parse(), "tcp".parse()) {
        let member = |last| Member::new(([10, 0, 0, last], 3333).into(), 1);
        TcpPool::new(name, entry_point).members([1, 2].map(member)).add_to(&mut configuration);
    }
    configuration
}

/// Returns whether a text in the JSON may be written in another way than here.
fn is_escaped(json: &[u8]) -> bool {
    json.contains(&b'\\')
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("traefik_answers", traefik_answers)]
    #[case("traefik_echo", traefik_echo)]
    #[case("configuration", configuration)]
    fn the_corpus_is_survived(#[case] name: &str, #[case] target: fn(&[u8])) {
        ilb_fuzz_replay::replay(name, target);
    }
}
