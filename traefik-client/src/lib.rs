#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod error;
mod model;
mod pool;
mod revision;
#[cfg(any(feature = "client", feature = "test-util"))]
mod sink;

#[cfg(feature = "client")]
mod client;

pub use crate::{
    error::Error,
    model::{
        Certificate, CertificateStore, Child, Configuration, InvalidName, LoadBalancer, Name, Server, ServersTransport,
        Tcp, TcpRouter, TcpService, Tls, Weighted,
    },
    pool::{Member, TcpPool, Timeouts},
    revision::Revision,
};

#[cfg(feature = "client")]
pub use crate::client::{InvalidUrl, Traefik};
#[cfg(feature = "test-util")]
pub use crate::sink::MockConfigSink;
#[cfg(any(feature = "client", feature = "test-util"))]
pub use crate::sink::{Applied, ConfigSink};
