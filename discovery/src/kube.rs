//! The Kubernetes sources. No type of `k8s_openapi` is used here: the embedding binary decides which version of it is
//! compiled in.
//!
//! [`request`] asks the API server and [`decoded`] reads what it answers, [`follow`] turns the answers into one endless
//! sequence of events per namespace, the [`index`] turns events into backend sets, [`source`] binds them together; [`pod`]
//! and [`slice`] turn objects into backends by the [`rules`], their [`complaints`] are logged once, and [`client`] makes a
//! client that does not hang, with the token of [`token_file`] and through the [`proxy`] that kubectl uses.

mod body_lines;
mod client;
mod complaints;
mod decoded;
mod endpoint_slices;
mod families;
mod follow;
mod index;
mod object;
mod options;
mod pod;
mod pods;
mod port;
mod proxy;
mod request;
mod request_error;
mod rules;
mod scope;
mod server_clock;
mod service_name;
mod slice;
mod source;
mod token_file;
mod version_guard;

#[cfg(test)]
mod testing;

pub use client::{ClientLimits, api_client};
pub use endpoint_slices::EndpointSliceDiscovery;
pub use families::Families;
pub use options::KubeOptions;
pub use pods::PodDiscovery;
pub use port::{BackendPort, InvalidPort, InvalidPortName, PortName};
pub use proxy::{config_from_kubeconfig, config_from_kubeconfig_file};
pub use service_name::{InvalidServiceName, ServiceName};
pub use source::KubeDiscovery;
