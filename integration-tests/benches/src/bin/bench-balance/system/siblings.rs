//! The Services by which replicas of ilb find their siblings.

use std::net::SocketAddr;

use anyhow::Context;
use ilb_testbed::{ApiServer, Neighbour, Pods, host_network};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

/// Services of a namespace of their own, one for each replica: its endpoints are the siblings of that replica.
///
/// Each replica is in a network namespace of its own, with an address by its number.
pub(crate) struct Siblings {
    namespace: Pods,
    kubeconfig: String,
    slices: Api<EndpointSlice>,
}

/// Network of the backends and of the API server, as replicas reach them from their network namespaces.
const NETWORK: &str = "10.9.0.0/16";
/// Port of the admin server of each replica, at which siblings ask.
pub(super) const ADMIN_PORT: u16 = 8081;
/// Address of the API server.
const API_SERVER: [u8; 4] = [10, 9, 0, 1];

/// Makes the addresses of backends and API server exist, once for this network namespace.
pub(crate) fn open_network() -> anyhow::Result<()> {
    host_network(NETWORK)
}

impl Siblings {
    /// Creates the namespace.
    pub(crate) async fn new(api: &ApiServer) -> anyhow::Result<Self> {
        let namespace = api.new_namespace("siblings").await?;
        let slices = Api::namespaced(api.client(), namespace.namespace());
        let via = api.forward((API_SERVER, 0).into()).await?;
        Ok(Self { namespace, kubeconfig: api.kubeconfig_via(via)?.display().to_string(), slices })
    }

    /// Returns the setting for the replica with this number.
    pub(crate) fn setting(&self, number: u16) -> String {
        format!("{}.{}:admin", service(number), self.namespace.namespace())
    }

    pub(crate) fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    /// Lists all of these replicas for each of them.
    pub(crate) async fn list_together(&self, numbers: &[u16]) -> anyhow::Result<()> {
        let endpoints: Vec<_> = numbers
            .iter()
            .map(|number| json!({"addresses": [Neighbour::address_of(*number)], "conditions": {"ready": true}}))
            .collect();
        for number in numbers {
            let service = service(*number);
            let slice = json!({
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": service, "labels": {"kubernetes.io/service-name": service}},
                "addressType": "IPv4",
                "ports": [{"name": "admin", "port": ADMIN_PORT, "protocol": "TCP"}],
                "endpoints": endpoints,
            });
            let force = PatchParams::apply("bench-balance").force();
            self.slices.patch(&service, &force, &Patch::Apply(slice)).await.context("cannot list the siblings")?;
        }
        Ok(())
    }
}

/// Returns the address of backend `index` at `port`, of at most 60 000 of them.
pub(crate) fn backend_address(index: u16, port: u16) -> SocketAddr {
    let [high, low] = index.to_be_bytes();
    ([10, 9, 1 + high, low], port).into()
}

fn service(number: u16) -> String {
    format!("siblings-of-{number}")
}
