#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod closing;
pub mod decision;
pub mod ladder;
pub mod least_connections;
pub mod plan;
pub mod pushes;
pub mod siblings;
pub mod zones;

mod admission;
mod arrivals;
mod budget;
mod gcd;
mod guard;
mod in_force;
mod limit;
mod observations;
mod outcomes;
mod pacing;
mod presumed;
mod push_limit;
mod reconcile;
mod round_robin;
mod sampling;
mod tracked;
#[cfg(any(test, feature = "test-util"))]
mod traefik_model;
mod trigger;

pub use crate::{
    budget::Budget,
    closing::{Closing, ClosingPolicy},
    decision::{Decision, Method, Reason},
    least_connections::LeastConnections,
    pacing::Pacing,
    plan::Plan,
    pushes::Pushes,
    reconcile::{Action, Change, reconcile},
    round_robin::RoundRobin,
};

#[cfg(any(test, feature = "test-util"))]
pub use crate::traefik_model::TraefikRoundRobin;
