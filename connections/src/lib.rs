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
mod table;
mod tracker;

pub use crate::{
    error::{Error, ReadError},
    kernel::{KernelConnections, Options},
    locality::is_local,
    probe::{ProbeError, Probed, Prober},
    sample::{EndedBy, Ending, Load, MAX_ENDINGS_PER_SAMPLE, Sample},
    source::ConnectionSource,
    table::Method,
};

#[cfg(feature = "test-util")]
pub use crate::source::MockConnectionSource;
