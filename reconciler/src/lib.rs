#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod budget;
mod count;
mod decision;
mod gcd;
mod guard;
mod in_force;
mod ladder;
mod least_connections;
mod plan;
mod pushes;
mod reconcile;
mod round_robin;
mod sampling;
mod tracked;
#[cfg(any(test, feature = "test-util"))]
mod traefik_model;
mod trigger;

pub use crate::{
    count::Count,
    decision::{Decision, Method, Reason, Row, Standing},
    ladder::{LadderInput, ladder},
    least_connections::{LeastConnections, Pacing, Work},
    plan::{Entry, Plan},
    pushes::{Failure, Next, Pushes},
    reconcile::{Action, Change, reconcile},
    round_robin::RoundRobin,
};

#[cfg(any(test, feature = "test-util"))]
pub use crate::traefik_model::TraefikRoundRobin;
