//! The part of an EndpointSlice that makes its endpoints backends.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use serde::Deserialize;

use super::{
    object::{Meta, Object},
    port::{BackendPort, valid_number},
    rules::{Candidate, Findings, Rules, pod_ref, quoted},
    scope::Resource,
};
use crate::{Capacity, PodRef, Selector, SourceKind, State};

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
    node_name: Option<String>,
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
    kind: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
    uid: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Port {
    name: Option<String>,
    #[serde(rename = "port")]
    number: Option<i64>,
    protocol: Option<String>,
}

/// Label by which the slices of a Service are found.
pub(super) const SERVICE_LABEL: &str = "kubernetes.io/service-name";

impl Object for SlimSlice {
    const RESOURCE: Resource = Resource { api: "/apis/discovery.k8s.io/v1", plural: "endpointslices" };

    fn meta(&self) -> &Meta {
        const NONE: &Meta = &Meta { namespace: None, name: None, uid: None, resource_version: None };
        self.metadata.as_ref().unwrap_or(NONE)
    }

    fn describe(labels: &Selector) -> (SourceKind, String) {
        let text = labels.to_string();
        let name = text.strip_prefix(SERVICE_LABEL).and_then(|rest| rest.strip_prefix('=')).map(str::to_owned);
        (SourceKind::Service, name.unwrap_or(text))
    }

    fn backends(&self, rules: &Rules) -> Findings {
        let mut findings = Findings::default();
        let endpoints = self.endpoints.as_deref().unwrap_or_default();
        let Some(port) = self.port(&rules.port) else {
            if !endpoints.is_empty() {
                findings.complain(self.no_port(&rules.port));
            }
            return findings;
        };
        for endpoint in endpoints {
            let Some(address) = endpoint.address(port, &mut findings) else { continue };
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
                max_connections: None,
                deletion: None,
                pod: endpoint.pod(self.meta().namespace.as_deref()),
                restarts: None,
            });
        }
        findings
    }
}

impl SlimSlice {
    fn port(&self, wanted: &BackendPort) -> Option<u16> {
        match wanted {
            // A slice without ports belongs to a headless Service without ports: each endpoint has all of its own.
            BackendPort::Number(n) if self.ports.as_ref().is_none_or(Vec::is_empty) => Some(*n),
            // An entry without a number stands for all ports.
            BackendPort::Number(n) => {
                self.tcp_ports().any(|p| p.number.is_none_or(|port| port == i64::from(*n))).then_some(*n)
            }
            BackendPort::Name(name) => {
                self.tcp_ports().find(|p| p.name.as_deref() == Some(name)).and_then(|p| valid_number(p.number?))
            }
        }
    }

    /// Returns the complaint about a slice without the wanted port. It names a number that is not a port, since that is
    /// probably a typing error.
    fn no_port(&self, wanted: &BackendPort) -> String {
        let is_invalid = |number: &i64| valid_number(*number).is_none();
        match self.tcp_ports().filter_map(|p| p.number).find(is_invalid) {
            Some(number) => format!("the slice offers no TCP port {wanted}, and its port {number} is not 1 to 65535"),
            None => format!("the slice offers no TCP port {wanted}"),
        }
    }

    fn tcp_ports(&self) -> impl Iterator<Item = &Port> {
        let ports = self.ports.as_deref().unwrap_or_default().iter();
        ports.filter(|p| p.protocol.as_deref().is_none_or(|protocol| protocol == "TCP"))
    }
}

impl Endpoint {
    /// Returns the name of the pod behind it, if it is one. `namespace` is that of the slice.
    fn pod(&self, namespace: Option<&str>) -> Option<Arc<PodRef>> {
        let target = self.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod"))?;
        pod_ref(target.namespace.as_deref().or(namespace), target.name.as_deref(), self.node_name.as_deref())
    }

    /// Returns the first address: those of one endpoint are interchangeable, and consumers use the first one.
    /// See <https://kubernetes.io/docs/reference/kubernetes-api/service-resources/endpoint-slice-v1/>.
    fn address(&self, port: u16, findings: &mut Findings) -> Option<SocketAddr> {
        let text = self.addresses.as_deref()?.first()?;
        let ip: Option<IpAddr> = text.parse().ok();
        if ip.is_none() {
            findings.complain(format!("the address {} of an endpoint is not an IP address", quoted(text)));
        }
        Some(SocketAddr::new(ip?.to_canonical(), port))
    }
}

impl Conditions {
    /// Returns the state, and whether the endpoint can be a last resort. By the API an absent `ready` or `serving` counts
    /// as true. A terminating endpoint takes no new connections even where its Service publishes addresses that are not
    /// ready.
    fn state(self) -> (State, bool) {
        let ready = self.ready.unwrap_or(true);
        let serving = self.serving.unwrap_or(true);
        match (self.terminating.unwrap_or(false), ready) {
            (true, _) => (State::Draining, serving),
            (false, true) => (State::Ready, false),
            (false, false) => (State::NotReady, false),
        }
    }
}

#[cfg(test)]
mod tests;
