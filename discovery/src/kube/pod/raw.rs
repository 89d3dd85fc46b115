//! The JSON of a pod.

use std::net::IpAddr;

use serde::{Deserialize, de::IgnoredAny};

use super::{Phase, SlimPod};
use crate::kube::object::Meta;

/// Fields of a pod's JSON that are read. Each can be absent or `null`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Raw {
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
            zone: metadata.labels.and_then(|labels| labels.zone?.parse().ok()),
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
