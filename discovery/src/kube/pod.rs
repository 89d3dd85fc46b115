use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, de::IgnoredAny};

use super::{
    object::{Meta, Object},
    rules::{BackendPort, Candidate, Findings, Rules},
};
use crate::{Capacity, State, Zone};

/// The part of a pod that discovery needs.
///
/// Decoding the whole `Pod` of `k8s_openapi` costs 51 KB of heap and 43 µs each; this costs a fraction.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Raw")]
pub(super) struct SlimPod {
    meta: Meta,
    deleting: bool,
    phase: Phase,
    ready: bool,
    /// The first one is the pod's primary address.
    ips: Vec<IpAddr>,
    /// The named TCP ports of its containers.
    ports: Vec<(String, u16)>,
    capacity: Option<String>,
    drain: Option<String>,
    zone: Option<Zone>,
}

/// Where a pod is in its life, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Pending,
    Running,
    /// `Succeeded` or `Failed`: the containers have ended, and the address may belong to another pod by now.
    Ended,
}

impl Object for SlimPod {
    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn backends(&self, rules: &Rules) -> Findings {
        let mut findings = Findings::default();
        if self.phase == Phase::Ended || self.ips.is_empty() {
            return findings;
        }
        let Some(port) = self.port(&rules.port, &mut findings) else { return findings };
        let addresses = self.ips.iter().map(|ip| SocketAddr::new(ip.to_canonical(), port));
        let Some(address) = rules.choose(addresses, &mut findings) else { return findings };
        let serving = self.ready && self.phase == Phase::Running;
        let drained = self.drain(&mut findings);
        let state = match (self.deleting || drained, serving) {
            (true, _) => State::Draining,
            (false, true) => State::Ready,
            (false, false) => State::NotReady,
        };
        let capacity = self.capacity(&mut findings);
        let candidate = Candidate {
            owner: None,
            address,
            state,
            // What an operator drains is not used as a last resort either.
            last_resort: self.deleting && serving && !drained,
            capacity,
            zone: self.zone.clone(),
        };
        findings.candidates.push(candidate);
        findings
    }
}

impl SlimPod {
    fn port(&self, port: &BackendPort, findings: &mut Findings) -> Option<u16> {
        let name = match port {
            BackendPort::Number(number) => return Some(*number),
            BackendPort::Name(name) => name,
        };
        let found = self.ports.iter().find(|(n, _)| **n == **name).map(|(_, number)| *number);
        if found.is_none() {
            findings.complain(format!("no container has a TCP port named {name}"));
        }
        found
    }

    fn drain(&self, findings: &mut Findings) -> bool {
        let Some(text) = &self.drain else { return false };
        text.trim().to_ascii_lowercase().parse().unwrap_or_else(|_| {
            findings.complain(format!("ignored the annotation {DRAIN}={}: neither true nor false", quoted(text)));
            false
        })
    }

    fn capacity(&self, findings: &mut Findings) -> Capacity {
        let Some(text) = &self.capacity else { return Capacity::default() };
        let Ok(number) = text.trim().parse::<i64>() else {
            findings.complain(format!("ignored the annotation {CAPACITY}={}: not a number", quoted(text)));
            return Capacity::default();
        };
        let clamped = number.clamp((*Capacity::RANGE.start()).into(), (*Capacity::RANGE.end()).into());
        u8::try_from(clamped).ok().and_then(Capacity::new).unwrap_or_default()
    }
}

const CAPACITY: &str = "ilb.dev/capacity";
const DRAIN: &str = "ilb.dev/drain";

/// What anybody may write is quoted and cut before it reaches a log.
fn quoted(text: &str) -> String {
    format!("{:?}", text.chars().take(40).collect::<String>())
}

/// The JSON as it comes.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Raw {
    metadata: Option<RawMeta>,
    spec: Option<RawSpec>,
    status: Option<RawStatus>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawMeta {
    name: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    deletion_timestamp: Option<IgnoredAny>,
    annotations: Option<RawAnnotations>,
    labels: Option<RawLabels>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawAnnotations {
    #[serde(rename = "ilb.dev/capacity")]
    capacity: Option<String>,
    #[serde(rename = "ilb.dev/drain")]
    drain: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawLabels {
    #[serde(rename = "topology.kubernetes.io/zone")]
    zone: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawSpec {
    containers: Option<Vec<RawContainer>>,
    init_containers: Option<Vec<RawContainer>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawContainer {
    restart_policy: Option<String>,
    ports: Option<Vec<RawPort>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawPort {
    name: Option<String>,
    container_port: Option<u16>,
    protocol: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawStatus {
    phase: Option<String>,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<RawIp>>,
    conditions: Option<Vec<RawCondition>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawIp {
    ip: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawCondition {
    r#type: Option<String>,
    status: Option<String>,
}

impl From<Raw> for SlimPod {
    fn from(raw: Raw) -> Self {
        let metadata = raw.metadata.unwrap_or_default();
        let status = raw.status.unwrap_or_default();
        let annotations = metadata.annotations.unwrap_or_default();
        let is_ready = |c: &RawCondition| c.r#type.as_deref() == Some("Ready") && c.status.as_deref() == Some("True");
        let mut ips: Vec<IpAddr> = status.pod_ips.unwrap_or_default().into_iter().filter_map(RawIp::parse).collect();
        if ips.is_empty() {
            ips.extend(RawIp { ip: status.pod_ip }.parse());
        }
        Self {
            deleting: metadata.deletion_timestamp.is_some(),
            phase: match status.phase.as_deref() {
                Some("Running") => Phase::Running,
                Some("Succeeded" | "Failed") => Phase::Ended,
                _ => Phase::Pending,
            },
            ready: status.conditions.unwrap_or_default().iter().any(is_ready),
            ips,
            ports: raw.spec.map(RawSpec::named_ports).unwrap_or_default(),
            capacity: annotations.capacity,
            drain: annotations.drain,
            zone: metadata.labels.and_then(|l| l.zone).as_deref().and_then(Zone::new),
            meta: Meta { name: metadata.name, uid: metadata.uid, resource_version: metadata.resource_version },
        }
    }
}

impl RawIp {
    fn parse(self) -> Option<IpAddr> {
        self.ip?.parse().ok()
    }
}

impl RawSpec {
    fn named_ports(self) -> Vec<(String, u16)> {
        // An init container that restarts is a sidecar: it serves as long as the pod lives.
        let is_sidecar = |c: &RawContainer| c.restart_policy.as_deref() == Some("Always");
        let sidecars = self.init_containers.unwrap_or_default().into_iter().filter(is_sidecar);
        let containers = self.containers.unwrap_or_default().into_iter().chain(sidecars);
        let ports = containers.flat_map(|c| c.ports.unwrap_or_default());
        let is_tcp = |p: &RawPort| p.protocol.as_deref().is_none_or(|protocol| protocol == "TCP");
        ports.filter(is_tcp).filter_map(|p| Some((p.name?, p.container_port?))).collect()
    }
}

#[cfg(test)]
mod tests;
