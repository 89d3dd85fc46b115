//! The testbed: real etcd, kube-apiserver and Traefik, backends that say who they are, clients that notice everything.
//!
//! A test asks for what it needs and drops it when it is done; what it started ends with it, also after a panic or a
//! Ctrl-C:
//!
//! ```no_run
//! use ilb_testbed::World;
//!
//! # async fn example() -> anyhow::Result<()> {
//! let world = World::start(3).await?; // API server, Traefik, ilb and three ready pods with a backend each
//! let connection = world.traefik.connect().await?;
//! println!("landed on {}", connection.backend());
//! # Ok(())
//! # }
//! ```
//!
//! Nothing is ever bound outside 127.0.0.0/8, and each process of tests has a /16 of it for itself ([`Net`]), so runs
//! side by side never meet.

/// The examples of the project's README, so that they cannot go stale.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

mod admin;
mod api_server;
mod backend;
mod bare_traefik;
mod browser;
mod chart;
mod client;
mod crowd;
mod fault_proxy;
mod followed;
mod http;
mod ilb;
pub mod matrix;
mod net;
mod network;
mod pods;
mod prober;
mod process;
mod tools;
mod traefik;
mod traefik_api;
mod wait;
mod world;

pub use crate::{
    admin::Admin,
    api_server::ApiServer,
    backend::{Backend, Behaviour},
    bare_traefik::{BareTraefik, BareTraefikBuilder},
    browser::{Browser, Look},
    chart::{Chart, Rendered},
    client::Connection,
    crowd::Crowd,
    fault_proxy::FaultProxy,
    followed::{Followed, Seen, pod_ip, pods_via},
    http::http_client,
    ilb::{Answer, Exit, Ilb, LogLine},
    net::Net,
    network::{alone_in_a_network, lose_packets},
    pods::Pods,
    prober::{Hit, Prober},
    process::{Process, Signal},
    tools::Tools,
    traefik::Traefik,
    wait::{eventually, eventually_within},
    world::{BACKEND_PORT, World},
};
