//! The source that reads pods.

use kube::Client;

use super::{KubeDiscovery, pod::SlimPod, port::BackendPort};
use crate::{FieldSelector, Selector};

/// Discovers the pods that a label selector selects, in one namespace, several, or all.
///
/// A pod that is Ready and not being deleted is `ready`; one that is being deleted is `draining`; one that runs without
/// being Ready is `not ready`. A pod that has ended, or has no address yet, is no backend. Annotations on a pod:
///
/// * `ilb.dev/capacity`: the backend's [`Capacity`](crate::Capacity). A number outside of 1 to 16 becomes the nearest.
/// * `ilb.dev/max-connections`: the number of connections that the backend should have at most. Anything but a number from 1
///   is ignored with a complaint.
/// * `ilb.dev/drain`: `true` makes a ready pod `draining`.
///
/// Any other value is ignored with one warning. The [`Zone`](crate::Zone) is the pod's label
/// `topology.kubernetes.io/zone`, which Kubernetes 1.35 and later copies from its node.
///
/// Needs a service account with `list` and `watch` on `pods`. While all is well, the last contact with the API server is
/// at most as long ago as a watch lives, 10 s by default.
pub type PodDiscovery = KubeDiscovery<SlimPod>;

impl KubeDiscovery<SlimPod> {
    /// Discovers the pods in `namespace` that match `selector`; connections go to their `port`.
    ///
    /// The port is a number, or by its name a [`BackendPort`]. With a number of 0 no pod is a backend. An empty namespace
    /// does not stand for all of them: each list fails with [`Error::UnnamedNamespace`](crate::Error).
    pub fn new(client: Client, namespace: &str, selector: Selector, port: impl Into<BackendPort>) -> Self {
        Self::select(client, namespace, selector, port.into())
    }

    /// Discovers only the pods that `fields` selects too, such as those of one node.
    #[must_use]
    pub fn with_field_selector(self, fields: FieldSelector) -> Self {
        self.with_fields(fields)
    }
}
