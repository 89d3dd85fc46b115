#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod backend;
mod discovery;
mod error;
mod selector;
mod set;

#[cfg(feature = "rt")]
mod backoff;
#[cfg(feature = "kube")]
mod kube;
#[cfg(feature = "rt")]
mod poll;
#[cfg(feature = "rt")]
mod publish;

pub use crate::{
    address::AddressPolicy,
    backend::{Backend, Capacity, State},
    discovery::Discovery,
    error::{Cause, Error},
    selector::{Selector, SelectorError},
    set::BackendSet,
};

#[cfg(feature = "test-util")]
pub use crate::discovery::MockDiscovery;
#[cfg(feature = "kube")]
pub use crate::kube::PodDiscovery;
#[cfg(feature = "rt")]
pub use crate::poll::Poll;
/// The version of kube that [`PodDiscovery::new`] takes its client from.
#[cfg(feature = "kube")]
pub use ::kube as kube_client;
