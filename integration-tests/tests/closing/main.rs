//! Connections are closed on purpose only within the limits of the closer, and without cutting requests.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod age;
mod cluster;
mod crowd;
mod drain;
mod halves;
mod kills;
mod knowledge;
mod need;
mod privileges;
mod protocols;
mod rate;
mod real_clients;
mod rebalance;
mod refusals;
mod replicas;
mod requests;
mod returns;
mod role;
mod scene;
mod siblings;
