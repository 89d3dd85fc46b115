//! The part of an EndpointSlice that makes its endpoints backends.

use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

use super::{
    object::{Meta, Object},
    port::BackendPort,
    rules::{Candidate, Findings, Rules},
    scope::Resource,
};
use crate::{Capacity, State};

/// EndpointSlice, decoded down to the fields that discovery needs. Its lists may be absent, `null` or empty.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SlimSlice {
    metadata: Option<Meta>,
    endpoints: Option<Vec<Endpoint>>,
    ports: Option<Vec<Port>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Endpoint {
    addresses: Option<Vec<String>>,
    conditions: Option<Conditions>,
    target_ref: Option<TargetRef>,
    zone: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct TargetRef {
    uid: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Port {
    name: Option<String>,
    #[serde(rename = "port")]
    number: Option<u16>,
    protocol: Option<String>,
}

impl Object for SlimSlice {
    const RESOURCE: Resource = Resource { api: "/apis/discovery.k8s.io/v1", plural: "endpointslices" };

    fn meta(&self) -> &Meta {
        const NONE: &Meta = &Meta { name: None, uid: None, resource_version: None };
        self.metadata.as_ref().unwrap_or(NONE)
    }

    fn backends(&self, rules: &Rules) -> Findings {
        let mut findings = Findings::default();
        let endpoints = self.endpoints.as_deref().unwrap_or_default();
        let Some(port) = self.port(&rules.port) else {
            if !endpoints.is_empty() {
                findings.complain(format!("the slice offers no TCP port {}", rules.port));
            }
            return findings;
        };
        for endpoint in endpoints {
            let Some(address) = endpoint.address(port) else { continue };
            if !rules.accepts(address, &mut findings) {
                continue;
            }
            let (state, last_resort) = endpoint.conditions.unwrap_or_default().state();
            findings.candidates.push(Candidate {
                owner: endpoint.target_ref.as_ref().and_then(|r| r.uid.as_deref()).map(Box::from),
                address,
                state,
                last_resort,
                capacity: Capacity::default(),
                zone: endpoint.zone.as_deref().and_then(|zone| zone.parse().ok()),
            });
        }
        findings
    }
}

impl SlimSlice {
    fn port(&self, wanted: &BackendPort) -> Option<u16> {
        let is_tcp = |p: &&Port| p.protocol.as_deref().is_none_or(|protocol| protocol == "TCP");
        let mut ports = self.ports.as_deref().unwrap_or_default().iter().filter(is_tcp);
        match wanted {
            // An entry without a number stands for all ports.
            BackendPort::Number(n) => ports.any(|p| p.number.is_none_or(|port| port == *n)).then_some(*n),
            BackendPort::Name(name) => ports.find(|p| p.name.as_deref() == Some(name))?.number,
        }
    }
}

impl Endpoint {
    /// Returns the first address: those of one endpoint are interchangeable, and consumers use the first one.
    /// See <https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/>.
    fn address(&self, port: u16) -> Option<SocketAddr> {
        let ip: IpAddr = self.addresses.as_deref()?.first()?.parse().ok()?;
        Some(SocketAddr::new(ip.to_canonical(), port))
    }
}

impl Conditions {
    /// Returns the state, and whether the endpoint can be a last resort. An absent `ready` counts as true, an absent
    /// `serving` as equal to `ready`. A terminating endpoint takes no new connections even where its Service publishes
    /// addresses that are not ready.
    fn state(self) -> (State, bool) {
        let ready = self.ready.unwrap_or(true);
        let serving = self.serving.unwrap_or(ready);
        match (self.terminating.unwrap_or(false), ready) {
            (true, _) => (State::Draining, serving),
            (false, true) => (State::Ready, false),
            (false, false) => (State::NotReady, false),
        }
    }
}

#[cfg(test)]
mod tests;
