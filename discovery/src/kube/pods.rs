use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use kube::Client;

use super::{
    pod::SlimPod,
    rules::{BackendPort, Rules},
    scope::Kind,
    source::{Source, source_options},
};
use crate::{BackendSet, Discovery, Error, FieldSelector, Selector};

/// The pods that a label selector selects, in one namespace, several, or all.
///
/// Ready and not being deleted → `ready`; being deleted → `draining`; running but not Ready → `not ready`. A pod that
/// has ended, or has no address yet, is no backend. Its operator may write annotations on a pod:
///
/// * `ilb.dev/capacity`: the backend's [`Capacity`](crate::Capacity). A number outside of 1 to 16 becomes the nearest.
/// * `ilb.dev/drain`: `true` makes a ready pod `draining`.
///
/// A value that is none of these is ignored with one warning. The [`Zone`](crate::Zone) is the pod's label
/// `topology.kubernetes.io/zone`, which Kubernetes 1.35 and later copies from its node.
///
/// Needs a service account with `list` and `watch` on `pods`. While all is well, the API server is heard of at least
/// every 10 s.
pub struct PodDiscovery(Source<SlimPod>);

impl PodDiscovery {
    /// Pods in `namespace` that match `selector`; connections go to their `port`.
    ///
    /// A `port` of 0 is no port: no pod will be a backend. Ports by name: [`with_port`](Self::with_port).
    pub fn new(client: Client, namespace: &str, selector: Selector, port: u16) -> Self {
        const PODS: Kind = Kind { api: "/api/v1", plural: "pods" };
        Self(Source::new(client, PODS, namespace, selector, Rules::new(BackendPort::Number(port))))
    }

    /// Only the pods that `fields` selects too, such as those of one node.
    #[must_use]
    pub fn with_field_selector(self, fields: FieldSelector) -> Self {
        Self(self.0.with_fields(fields))
    }

    source_options!();
}

#[async_trait]
impl Discovery for PodDiscovery {
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
