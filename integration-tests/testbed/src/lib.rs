//! The testbed: real etcd, kube-apiserver and Traefik, backends that name themselves, clients that notice everything.
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
//! No address outside 127.0.0.0/8 is ever bound, except in network namespaces of a test's own, and each process of tests
//! has a /16 of it for itself ([`Net`]), so runs side by side never meet. Only the tests of one process share an API server
//! ([`ApiServer::shared`]), each with a namespace of its own.

/// The examples of the project's README, so that they cannot go stale.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

mod admin;
mod api_server;
pub mod apps;
mod backend;
mod bare_traefik;
mod browser;
mod chart;
mod checkout;
mod clock;
mod closer;
mod connect_proxy;
mod connection;
mod crowd;
mod fault_proxy;
mod followed;
mod http;
mod ilb;
mod kernel_socket;
pub mod matrix;
mod net;
mod network_namespace;
mod path_proxy;
mod pods;
mod prober;
mod process;
pub mod tools;
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
    chart::{Chart, Release, Rendered},
    checkout::in_checkout,
    clock::Clock,
    closer::{CloserProcess, Privileges},
    connect_proxy::{ConnectProxy, Tunnel},
    connection::Connection,
    crowd::Crowd,
    fault_proxy::FaultProxy,
    followed::{Followed, Seen, pod_ip, pods_via},
    http::http_client,
    ilb::{Answer, Exit, Ilb, LogLine, without_settings},
    kernel_socket::KernelSocket,
    net::{Group, Net},
    network_namespace::{
        Neighbour, Network, Void, add_address, alone_in_a_network, deliver_packets, host_network, in_a_network,
        keep_families_apart, lose_packets, open_loopback, remove_ipv4, switch_ipv6_off,
    },
    path_proxy::PathProxy,
    pods::{Pods, Readiness},
    prober::{Hit, Prober},
    process::{Process, Signal, raise_file_limit},
    traefik::Traefik,
    wait::{eventually, eventually_within},
    world::{BACKEND_PORT, ROUND_ROBIN, World},
};
