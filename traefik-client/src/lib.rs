//! Traefik's configuration as types that cannot express what breaks Traefik, and a client that puts it in force.
#![cfg_attr(feature = "client", doc = "", doc = include_str!("../README.md"))]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "client")]
pub mod breaker;
#[cfg(feature = "client")]
pub mod client;
pub mod error;
#[cfg(all(any(test, feature = "test-util"), feature = "client"))]
pub mod fake;
#[cfg(feature = "client")]
pub mod fleet;
pub mod model;
pub mod process;
#[cfg(feature = "client")]
pub mod rivalry;

mod payload;
mod pool;
mod revision;
#[cfg(feature = "client")]
mod sink;

pub use crate::{
    error::Error,
    model::{Certificate, Configuration, Name, ProxyProtocol, Timeouts},
    pool::{Member, TcpPool},
    revision::Revision,
};

#[cfg(all(any(test, feature = "test-util"), feature = "client"))]
pub use crate::sink::MockConfigSink;
#[cfg(feature = "client")]
pub use crate::{
    client::{Traefik, TraefikBuilder},
    fleet::{Fleet, FleetBuilder},
    sink::{Applied, ConfigSink},
};
