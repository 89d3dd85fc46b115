//! Checks of what ilb needs around it: Traefik, and the kernel that they share.

use std::fs;

use ilb_connections::{KernelConnections, Options};
use ilb_traefik_client::client::Survey;
use rustix::process::{Resource, getrlimit};

use super::finding::{Check, Findings};
use crate::settings::Settings;

/// Oldest version of Traefik that has what ilb needs.
const OLDEST_TRAEFIK: (u32, u32) = (3, 4);

/// Number of local ports below which a Traefik may run out of them.
const FEW_PORTS: u32 = 10_000;

/// Number of open files below which a Traefik may run out of them: each connection takes two.
const FEW_FILES: u64 = 10_000;

/// Checks the answer of a Traefik, which `name` stands for.
pub(super) fn traefik(name: &str, survey: Result<Survey, String>, settings: &Settings, findings: &mut Findings) {
    let survey = match survey {
        Ok(survey) => survey,
        Err(error) => return findings.failure(Check::Traefik, format!("Traefik at {name} cannot be asked: {error}")),
    };
    findings.ok(Check::Traefik, format!("Traefik at {name} answers, started {}", survey.started));
    let (version, (major, minor)) = (&survey.version, OLDEST_TRAEFIK);
    if version.is_at_least(major, minor) {
        findings.ok(Check::TraefikVersion, format!("Traefik {version}"));
    } else {
        findings.warning(Check::TraefikVersion, format!("Traefik {version} may be too old: {major}.{minor} is needed"));
    }
    let Some(known) = survey.entry_points else {
        return findings.warning(Check::EntryPoints, "Traefik does not tell its entry points");
    };
    for pool in &settings.pools {
        let (pool, entry_point) = (&pool.name, pool.entry_point.to_string());
        if known.contains(&entry_point) {
            findings.ok(Check::EntryPoints, format!("pool {pool}: Traefik has the entry point {entry_point}"));
        } else {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            findings.failure(
                Check::EntryPoints,
                format!("pool {pool}: Traefik has no entry point {entry_point} for TCP; it has {known}"),
            );
        }
    }
}

/// Checks whether the kernel tells of connections, and how many of them it allows.
pub(super) async fn kernel(findings: &mut Findings) {
    match KernelConnections::start(Options::default()).await {
        Ok(connections) => findings.ok(Check::Counting, format!("connections are counted by {}", connections.method())),
        Err(error) => findings.failure(
            Check::Counting,
            format!("connections cannot be counted, so pools are balanced by round robin: {}", error.with_causes()),
        ),
    }
    match fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok().and_then(|text| ports(&text)) {
        Some(ports) if ports >= FEW_PORTS => {
            findings.ok(Check::LocalPorts, format!("{ports} local ports for the connections to each backend"));
        }
        Some(ports) => findings.warning(
            Check::LocalPorts,
            format!(
                "only {ports} local ports (net.ipv4.ip_local_port_range): so many connections can lead to a backend"
            ),
        ),
        None => findings.warning(Check::LocalPorts, "net.ipv4.ip_local_port_range cannot be read"),
    }
    match getrlimit(Resource::Nofile).maximum {
        Some(files) if files < FEW_FILES => findings.warning(
            Check::Files,
            format!(
                "only {files} open files are allowed: each connection takes two in Traefik, if it has the same limit"
            ),
        ),
        Some(files) => findings.ok(Check::Files, format!("{files} open files are allowed")),
        None => findings.ok(Check::Files, "open files are not limited"),
    }
}

/// Returns the number of ports of a range, as the kernel writes it.
fn ports(text: &str) -> Option<u32> {
    let mut ends = text.split_ascii_whitespace().map(str::parse::<u32>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    Some((last + 1).saturating_sub(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::check::finding::Level, settings::Inputs};

    #[test]
    fn the_range_of_ports_is_counted() {
        assert_eq!(ports("32768\t60999\n"), Some(28_232));
        assert_eq!(ports("nonsense"), None);
    }

    #[test]
    fn a_traefik_that_cannot_be_asked_is_a_failure() {
        let variables = vec![("ILB_SELECTOR".to_owned(), "app=a".to_owned())];
        let settings = Settings::load(&Inputs { variables, ..Inputs::default() }).unwrap();
        let mut findings = Findings::default();
        traefik("localhost:8080", Err("refused".to_owned()), &settings, &mut findings);
        assert_eq!(findings.worst(), Level::Failure);
        assert_eq!(findings.0[0].text, "Traefik at localhost:8080 cannot be asked: refused");
    }
}
