//! The admin server: probes for the kubelet, metrics for Prometheus, and the status for operators, on one port.
//!
//! It is read-only and waits for no other component: every response is made from the facts that are known already. Probes
//! are answered by a thread of their own, whatever the readers of everything else do.

mod connection;
mod connection_page;
mod document;
mod first_line;
mod histories;
mod host;
mod listener;
mod page;
mod places;
mod routes;
mod sending;
mod server;
mod siblings;
mod stream;

pub(crate) use self::server::Admin;
