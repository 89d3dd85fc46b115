use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use kube::Client;

use super::{
    rules::{BackendPort, Rules},
    scope::Kind,
    slice::SlimSlice,
    source::{Source, source_options},
};
use crate::{BackendSet, Discovery, Error, Selector, SelectorError};

/// The endpoints of a Service, from its EndpointSlices: for clusters where pods may not be read.
///
/// `terminating` → `draining`; `ready` → `ready`; else `not ready`. The slices of a Service are merged: an address that
/// two of them have is one backend, and a pod with addresses of both families is one backend too. The
/// [`Zone`](crate::Zone) is the endpoint's. Slices know no capacity: each backend has one share.
///
/// Needs a service account with `list` and `watch` on `endpointslices` of `discovery.k8s.io`. While all is well, the API
/// server is heard of at least every 10 s.
pub struct EndpointSliceDiscovery(Source<SlimSlice>);

impl EndpointSliceDiscovery {
    /// The slices of the Service `name` in `namespace`; connections go to the port that `port` names: the Service's
    /// name for it, or the number that its endpoints listen on.
    ///
    /// Fails if `name` cannot be a Service's.
    pub fn of_service(client: Client, namespace: &str, name: &str, port: BackendPort) -> Result<Self, SelectorError> {
        Ok(Self::new(client, namespace, format!("kubernetes.io/service-name={name}").parse()?, port))
    }

    /// The slices in `namespace` that match `selector`, whoever manages them.
    pub fn new(client: Client, namespace: &str, selector: Selector, port: BackendPort) -> Self {
        const SLICES: Kind = Kind { api: "/apis/discovery.k8s.io/v1", plural: "endpointslices" };
        Self(Source::new(client, SLICES, namespace, selector, Rules::new(port)))
    }

    source_options!();
}

#[async_trait]
impl Discovery for EndpointSliceDiscovery {
    async fn list(&self) -> Result<Arc<BackendSet>, Error> {
        self.0.list().await
    }

    fn watch(&self) -> BoxStream<'static, Result<Arc<BackendSet>, Error>> {
        self.0.watch()
    }

    fn since_contact(&self) -> Option<Duration> {
        self.0.since_contact()
    }

    fn relists(&self) -> Option<u64> {
        Some(self.0.relists())
    }
}
