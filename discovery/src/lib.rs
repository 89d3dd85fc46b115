//! Discovers TCP backends for load balancers and other controllers.
#![cfg_attr(feature = "kube", doc = include_str!("../README.md"))]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod backend;
mod discovery;
mod error;
mod pod_ref;
mod selector;
mod set;
mod source_info;
mod zone;

#[cfg(feature = "rt")]
mod backoff;
#[cfg(feature = "rt")]
mod contact;
#[cfg(feature = "test-util")]
mod fake;
#[cfg(feature = "file")]
mod file;
#[cfg(any(feature = "file", feature = "kube"))]
mod file_reader;
#[cfg(all(any(test, fuzzing), feature = "file", feature = "kube"))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(feature = "kube")]
mod kube;
#[cfg(any(feature = "file", feature = "kube"))]
mod own_addresses;
#[cfg(feature = "rt")]
mod poll;
#[cfg(feature = "rt")]
mod publish;

pub use crate::{
    address::AddressPolicy,
    backend::{Backend, Capacity, State},
    discovery::{Discovery, Update},
    error::{Cause, Error},
    pod_ref::PodRef,
    selector::{FieldSelector, Selector},
    set::BackendSet,
    source_info::{Complaint, Complaints, SourceInfo, SourceKind},
    zone::Zone,
};
/// The version of ipnet that [`AddressPolicy::allow_only`] takes its networks from.
pub use ::ipnet;

#[cfg(feature = "file")]
pub use crate::file::{FileChanges, FileDiscovery};
#[cfg(any(feature = "file", feature = "kube"))]
pub use crate::file_reader::FileReader;
#[cfg(feature = "kube")]
pub use crate::kube::{
    BackendPort, ClientLimits, EndpointSliceDiscovery, Families, KubeDiscovery, KubeOptions, PodDiscovery, PortName,
    ServiceName, api_client, config_from_kubeconfig, config_from_kubeconfig_file,
};
#[cfg(feature = "rt")]
pub use crate::poll::Poll;
/// The version of kube that the Kubernetes sources take their client from.
#[cfg(feature = "kube")]
pub use ::kube as kube_client;

/// Errors of values that are refused, each of which names the value and the rule, and the refusals of sources.
pub mod errors {
    #[cfg(feature = "kube")]
    pub use crate::kube::{InvalidPort, InvalidPortName, InvalidServiceName};
    pub use crate::{
        address::InvalidAddress, backend::InvalidCapacity, error::Refusal, pod_ref::InvalidPodRef,
        selector::InvalidSelector, zone::InvalidZone,
    };
}

/// Sources for the tests of embedders.
#[cfg(feature = "test-util")]
pub mod testing {
    pub use crate::{discovery::MockDiscovery, fake::FakeDiscovery};
}
