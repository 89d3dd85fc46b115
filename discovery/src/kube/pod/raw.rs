//! The JSON of a pod.

use std::time::SystemTime;

use serde::{Deserialize, de::IgnoredAny};

/// Fields of a pod's JSON that are read. Each can be absent or `null`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Raw {
    pub(super) metadata: Option<RawMeta>,
    pub(super) spec: Option<RawSpec>,
    pub(super) status: Option<RawStatus>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawMeta {
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    pub(super) uid: Option<String>,
    pub(super) resource_version: Option<String>,
    pub(super) deletion_timestamp: Option<RawTime>,
    pub(super) annotations: Option<RawAnnotations>,
    pub(super) labels: Option<RawLabels>,
}

/// A date. Whatever else is in its place counts as a date that is not known.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum RawTime {
    Text(String),
    Other(IgnoredAny),
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawAnnotations {
    #[serde(rename = "ilb.dev/capacity")]
    pub(super) capacity: Option<String>,
    #[serde(rename = "ilb.dev/drain")]
    pub(super) drain: Option<String>,
    #[serde(rename = "ilb.dev/max-connections")]
    pub(super) max_connections: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawLabels {
    #[serde(rename = "topology.kubernetes.io/zone")]
    pub(super) zone: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawSpec {
    pub(super) node_name: Option<String>,
    pub(super) containers: Option<Vec<RawContainer>>,
    pub(super) init_containers: Option<Vec<RawContainer>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawContainer {
    pub(super) restart_policy: Option<String>,
    pub(super) ports: Option<Vec<RawPort>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawPort {
    pub(super) name: Option<String>,
    pub(super) container_port: Option<i64>,
    pub(super) protocol: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawStatus {
    pub(super) phase: Option<String>,
    #[serde(rename = "podIP")]
    pub(super) pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pub(super) pod_ips: Option<Vec<RawIp>>,
    pub(super) conditions: Option<Vec<RawCondition>>,
    pub(super) container_statuses: Option<Vec<RawContainerStatus>>,
    pub(super) init_container_statuses: Option<Vec<RawContainerStatus>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RawContainerStatus {
    pub(super) restart_count: Option<i64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawIp {
    pub(super) ip: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RawCondition {
    pub(super) r#type: Option<String>,
    pub(super) status: Option<String>,
}

impl RawTime {
    pub(super) fn date(&self) -> Option<SystemTime> {
        match self {
            Self::Text(text) => text.parse::<jiff::Timestamp>().ok().map(SystemTime::from),
            Self::Other(_) => None,
        }
    }
}

impl RawStatus {
    /// Adds up the restarts of all containers; `None` before the first of them was started.
    pub(super) fn restarts(&self) -> Option<u16> {
        let own = self.container_statuses.as_ref()?;
        let all = own.iter().chain(self.init_container_statuses.iter().flatten());
        let sum =
            all.filter_map(|status| status.restart_count).fold(0_i64, |sum, count| sum.saturating_add(count.max(0)));
        Some(u16::try_from(sum).unwrap_or(u16::MAX))
    }
}

impl RawIp {
    /// Returns the text of the address, where there is one yet.
    pub(super) fn text(self) -> Option<String> {
        self.ip.filter(|text| !text.is_empty())
    }
}

impl RawSpec {
    pub(super) fn named_ports(self) -> Vec<(String, i64)> {
        // An init container that restarts is a sidecar: it serves as long as the pod lives.
        let is_sidecar = |c: &RawContainer| c.restart_policy.as_deref() == Some("Always");
        let sidecars = self.init_containers.unwrap_or_default().into_iter().filter(is_sidecar);
        let containers = self.containers.unwrap_or_default().into_iter().chain(sidecars);
        let ports = containers.flat_map(|c| c.ports.unwrap_or_default());
        let is_tcp = |p: &RawPort| p.protocol.as_deref().is_none_or(|protocol| protocol == "TCP");
        ports.filter(is_tcp).filter_map(|p| Some((p.name?, p.container_port?))).collect()
    }
}
