#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
mod kernel;
mod locality;
mod netlink;
mod own_ports;
mod probe;
mod process;
mod procfs;
mod sample;
mod socket;
mod source;
mod tracker;

pub use crate::{
    error::{Error, ReadError},
    kernel::{KernelConnections, Method, Options},
    locality::is_local,
    probe::Prober,
    sample::{Load, Sample},
    source::ConnectionSource,
};

#[cfg(feature = "test-util")]
pub use crate::source::MockConnectionSource;
