//! The source that reads EndpointSlices.

use kube::Client;

use super::{
    KubeDiscovery,
    port::BackendPort,
    service_name::ServiceName,
    slice::{SERVICE_LABEL, SlimSlice},
};
use crate::{Selector, errors::InvalidServiceName};

/// Discovers the endpoints of a Service, from its EndpointSlices: for clusters where pods may not be read.
///
/// An endpoint that is `terminating` is `draining`; one that is `ready` is `ready`; any other is `not ready`. The slices
/// of a Service are merged: an address that is in two of them is one backend, and a pod with addresses of both families
/// is one backend too. The [`Zone`](crate::Zone) is the endpoint's. Slices have no capacity: each backend has one share.
///
/// Needs a service account with `list` and `watch` on `endpointslices` of `discovery.k8s.io`. While all is well, the last
/// contact with the API server is at most as long ago as a watch lives, 10 s by default.
pub type EndpointSliceDiscovery = KubeDiscovery<SlimSlice>;

impl KubeDiscovery<SlimSlice> {
    /// Discovers the endpoints of the Service `name` in `namespace`; connections go to their `port`: a number that the
    /// endpoints listen on, or the Service's name for it.
    ///
    /// Returns an error if no Service can have this name. An empty namespace does not stand for all of them: each list
    /// fails with [`Error::UnnamedNamespace`](crate::Error).
    pub fn try_from_service(
        client: Client,
        namespace: &str,
        name: &str,
        port: impl Into<BackendPort>,
    ) -> Result<Self, InvalidServiceName> {
        let name: ServiceName = name.parse()?;
        Ok(Self::new(client, namespace, Selector::equal(SERVICE_LABEL, &name), port))
    }

    /// Discovers the endpoints of the slices in `namespace` that match `selector`, whatever manages them.
    pub fn new(client: Client, namespace: &str, selector: Selector, port: impl Into<BackendPort>) -> Self {
        Self::select(client, namespace, selector, port.into())
    }
}
