//! The Services by which replicas of ilb find their siblings.

use std::{
    net::{IpAddr, SocketAddr},
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::Context;
use ilb_testbed::{ApiServer, Pods, Void, host_network};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

/// Services of a namespace of their own, one for each replica: its endpoints are the siblings of that replica.
///
/// Each replica has a port of its own and answers at every address, so that an address can be one way to it of several.
pub(crate) struct Siblings {
    namespace: Pods,
    kubeconfig: String,
    slices: Api<EndpointSlice>,
}

/// Network of all addresses of siblings: an API server takes none of loopback.
const NETWORK: &str = "10.9.0.0/16";
/// Address by which most replicas reach each other.
const USUAL_ADDRESS: [u8; 4] = [10, 9, 1, 1];
/// Address of the replica that is cut off for the others, and that of the others for it.
const BREAKABLE_ADDRESSES: [[u8; 4]; 2] = [[10, 9, 2, 1], [10, 9, 2, 2]];

/// Makes the addresses of siblings exist, once for this network namespace.
pub(crate) fn open_network() -> anyhow::Result<()> {
    host_network(NETWORK)
}

impl Siblings {
    /// Creates the namespace.
    pub(crate) async fn new(api: &ApiServer) -> anyhow::Result<Self> {
        let namespace = api.new_namespace("siblings").await?;
        let slices = Api::namespaced(api.client(), namespace.namespace());
        Ok(Self { namespace, kubeconfig: api.kubeconfig().display().to_string(), slices })
    }

    /// Returns the setting for the replica at this port.
    pub(crate) fn setting(&self, port: u16) -> String {
        format!("{}.{}:admin", service(port), self.namespace.namespace())
    }

    pub(crate) fn kubeconfig(&self) -> &str {
        &self.kubeconfig
    }

    /// Lists all of these replicas for each of them. The last one can be [cut off](Self::cut_off) if it is `breakable`.
    pub(crate) async fn list_together(&self, ports: &[u16], is_breakable: bool) -> anyhow::Result<()> {
        let [of_last, of_others] = BREAKABLE_ADDRESSES;
        for of in ports {
            for sibling in ports {
                let address = match (is_breakable, Some(of) == ports.last(), Some(sibling) == ports.last()) {
                    (true, false, true) => of_last,
                    (true, true, false) => of_others,
                    _ => USUAL_ADDRESS,
                };
                self.list(*of, (address, *sibling).into()).await?;
            }
        }
        Ok(())
    }

    /// Lists one more replica for the one at the port `of`.
    async fn list(&self, of: u16, sibling: SocketAddr) -> anyhow::Result<()> {
        let service = service(of);
        let name = format!("{service}-{}", sibling.port());
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}},
            "addressType": "IPv4",
            "ports": [{"name": "admin", "port": sibling.port(), "protocol": "TCP"}],
            "endpoints": [{"addresses": [sibling.ip()], "conditions": {"ready": true}}],
        });
        let force = PatchParams::apply("bench-balance").force();
        self.slices.patch(&name, &force, &Patch::Apply(slice)).await.context("cannot list a sibling")?;
        Ok(())
    }

    /// Loses all packets between the last one of those that were listed as breakable, and the others: of all systems of this
    /// process at once.
    pub(crate) fn cut_off() -> anyhow::Result<()> {
        static IS_DONE: AtomicBool = AtomicBool::new(false);
        if IS_DONE.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        Void::new()?.swallow(BREAKABLE_ADDRESSES.map(IpAddr::from))
    }
}

fn service(port: u16) -> String {
    format!("siblings-of-{port}")
}
