//! New connections go where the fewest are, by the counts of the kernel and the weights of a real Traefik.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod least_connections;
mod suspects;
mod traefik_model;
mod unseen_connections;
mod zones;
