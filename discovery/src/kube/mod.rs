//! The Kubernetes sources. No type of `k8s_openapi` leaves this module: which version of them is compiled in is the
//! embedding binary's business.

mod error;
mod index;
mod pods;
mod slim;

pub use pods::PodDiscovery;
