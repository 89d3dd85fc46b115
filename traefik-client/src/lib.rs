#![cfg_attr(feature = "client", doc = include_str!("../README.md"))]
#![cfg_attr(not(feature = "client"), doc = "The configuration of Traefik as types that cannot express what breaks it.")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod error;
pub mod model;
mod payload;
mod pool;
pub mod process;
mod revision;

#[cfg(feature = "client")]
pub mod breaker;
#[cfg(feature = "client")]
pub mod client;
#[cfg(all(any(test, feature = "test-util"), feature = "client"))]
pub mod fake;
#[cfg(feature = "client")]
mod fleet;
#[cfg(feature = "client")]
mod sink;

pub use crate::{
    error::Error,
    model::*,
    pool::{Member, TcpPool},
    revision::Revision,
};

#[cfg(feature = "client")]
pub use crate::{
    breaker::{Breaker, BreakerState},
    client::{BuildError, InvalidUrl, Secret, Traefik, TraefikBuilder},
    fleet::{Fleet, FleetBuilder, InstanceState, Quorum},
    sink::{Applied, ConfigSink},
};
#[cfg(all(any(test, feature = "test-util"), feature = "client"))]
pub use crate::{
    fake::{FakeSink, Script},
    sink::MockConfigSink,
};
