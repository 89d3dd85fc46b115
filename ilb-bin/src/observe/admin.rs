//! The admin server: probes for the kubelet, metrics for Prometheus, and the status for operators, on one port.
//!
//! It is read-only and waits for no other component: every response is made from the facts that are known already.

mod events;
mod page;
mod routes;
mod server;

pub(crate) use self::server::Admin;
