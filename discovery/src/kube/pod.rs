//! The part of a pod that makes it a backend.

mod raw;

use std::{
    net::{IpAddr, SocketAddr},
    num::IntErrorKind,
    sync::Arc,
    time::SystemTime,
};

use serde::Deserialize;

use self::raw::{Raw, RawCondition, RawIp, RawTime};
use super::{
    object::{Meta, Object},
    port::{BackendPort, valid_number},
    rules::{Candidate, Deletion, Findings, Rules, pod_ref, quoted},
    scope::Resource,
};
use crate::{Capacity, PodRef, State, Zone};

/// Pod, decoded down to the fields that discovery needs.
///
/// Decoding the whole `Pod` of `k8s_openapi` costs 51 KB of heap and 43 µs each; this costs a fraction.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Raw")]
pub struct SlimPod {
    meta: Meta,
    deleting: bool,
    /// Date at which it will be killed, if it is being deleted.
    deleted_at: Option<SystemTime>,
    phase: Phase,
    ready: bool,
    /// Addresses of the pod, the primary one first.
    ips: Vec<IpAddr>,
    /// Text in the place of its address, if that is none.
    bad_ip: Option<String>,
    /// Named TCP ports of the containers, with numbers that need not be valid.
    ports: Vec<(String, i64)>,
    capacity: Option<String>,
    drain: Option<String>,
    max_connections: Option<String>,
    zone: Option<Zone>,
    pod: Option<Arc<PodRef>>,
    restarts: Option<u16>,
}

/// Phase in the life of a pod, as far as it matters here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Pending,
    Running,
    /// `Succeeded` or `Failed`: the containers have ended, and the address may belong to another pod by now.
    Ended,
}

impl From<Raw> for SlimPod {
    fn from(raw: Raw) -> Self {
        let metadata = raw.metadata.unwrap_or_default();
        let status = raw.status.unwrap_or_default();
        let mut spec = raw.spec.unwrap_or_default();
        let node = spec.node_name.take();
        let annotations = metadata.annotations.unwrap_or_default();
        let is_ready = |c: &RawCondition| c.r#type.as_deref() == Some("Ready") && c.status.as_deref() == Some("True");
        let restarts = status.restarts();
        let mut texts: Vec<_> = status.pod_ips.unwrap_or_default().into_iter().filter_map(RawIp::text).collect();
        if texts.is_empty() {
            texts.extend(RawIp { ip: status.pod_ip }.text());
        }
        let ips: Vec<IpAddr> = texts.iter().filter_map(|text| text.parse().ok()).collect();
        Self {
            deleting: metadata.deletion_timestamp.is_some(),
            deleted_at: metadata.deletion_timestamp.as_ref().and_then(RawTime::date),
            phase: match status.phase.as_deref() {
                Some("Running") => Phase::Running,
                Some("Succeeded" | "Failed") => Phase::Ended,
                _ => Phase::Pending,
            },
            ready: status.conditions.unwrap_or_default().iter().any(is_ready),
            bad_ip: texts.into_iter().next().filter(|_| ips.is_empty()),
            ips,
            ports: spec.named_ports(),
            capacity: annotations.capacity,
            drain: annotations.drain,
            max_connections: annotations.max_connections,
            zone: metadata.labels.and_then(|labels| labels.zone?.parse().ok()),
            restarts,
            pod: pod_ref(metadata.namespace.as_deref(), metadata.name.as_deref(), node.as_deref()),
            meta: Meta {
                namespace: metadata.namespace,
                name: metadata.name,
                uid: metadata.uid,
                resource_version: metadata.resource_version,
            },
        }
    }
}

impl Object for SlimPod {
    const RESOURCE: Resource = Resource { api: "/api/v1", plural: "pods" };

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn is_being_deleted(&self) -> bool {
        self.deleting
    }

    fn backends(&self, rules: &Rules) -> Findings {
        let mut findings = Findings::default();
        if self.phase == Phase::Ended {
            return findings;
        }
        if let Some(text) = &self.bad_ip {
            findings.complain(format!("its address {} is not an IP address", quoted(text)));
        }
        if self.ips.is_empty() {
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
        let max_connections = self.max_connections(&mut findings);
        let candidate = Candidate {
            owner: None,
            address,
            state,
            // A pod that an operator drains is not used as a last resort either.
            last_resort: self.deleting && serving && !drained,
            capacity,
            zone: self.zone.clone(),
            pod: self.pod.clone(),
            restarts: self.restarts,
            max_connections,
            deletion: self.deleted_at.map(|date| Deletion { date, moment: rules.clock.moment_of(date) }),
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
        let Some((_, number)) = self.ports.iter().find(|(n, _)| **n == **name) else {
            findings.complain(format!("no container has a TCP port named {name}"));
            return None;
        };
        let valid = valid_number(*number);
        if valid.is_none() {
            findings.complain(format!("the port named {name} is {number}, which is not 1 to 65535"));
        }
        valid
    }

    fn drain(&self, findings: &mut Findings) -> bool {
        let Some(text) = &self.drain else { return false };
        text.trim().to_ascii_lowercase().parse().unwrap_or_else(|_| {
            findings.complain(format!(
                "ignored the annotation {DRAIN_ANNOTATION}={}: neither true nor false",
                quoted(text)
            ));
            false
        })
    }

    fn max_connections(&self, findings: &mut Findings) -> Option<u32> {
        let text = self.max_connections.as_ref()?;
        let number = text.trim().parse::<u32>().ok().filter(|number| *number > 0);
        if number.is_none() {
            findings.complain(format!(
                "ignored the annotation {MAX_CONNECTIONS_ANNOTATION}={}: not a number from 1 to {}",
                quoted(text),
                u32::MAX
            ));
        }
        number
    }

    fn capacity(&self, findings: &mut Findings) -> Capacity {
        let Some(text) = &self.capacity else { return Capacity::default() };
        let number = match text.trim().parse::<i64>() {
            Ok(number) => number,
            Err(error) if *error.kind() == IntErrorKind::PosOverflow => i64::MAX,
            Err(error) if *error.kind() == IntErrorKind::NegOverflow => i64::MIN,
            Err(_) => {
                findings
                    .complain(format!("ignored the annotation {CAPACITY_ANNOTATION}={}: not a number", quoted(text)));
                return Capacity::default();
            }
        };
        let clamped = number.clamp((*Capacity::RANGE.start()).into(), (*Capacity::RANGE.end()).into());
        u8::try_from(clamped).ok().and_then(|shares| shares.try_into().ok()).unwrap_or_default()
    }
}

const CAPACITY_ANNOTATION: &str = "ilb.dev/capacity";
const DRAIN_ANNOTATION: &str = "ilb.dev/drain";
const MAX_CONNECTIONS_ANNOTATION: &str = "ilb.dev/max-connections";

#[cfg(test)]
mod tests;
