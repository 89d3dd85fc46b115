#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod decision;
mod gcd;
mod guard;
mod in_force;
mod ladder;
mod least_connections;
mod pace;
mod plan;
mod pushes;
mod reconcile;
mod tracked;
mod trigger;
#[cfg(any(test, feature = "test-util"))]
mod wrr;

pub use crate::{
    decision::{Decision, Reason, Row, Standing},
    ladder::{Rung, ladder},
    least_connections::{LeastConnections, Pacing, Todo},
    plan::{Entry, Plan},
    pushes::{Failure, Next, Pushes},
    reconcile::{Action, Change, reconcile},
    tracked::Count,
};

#[cfg(any(test, feature = "test-util"))]
pub use crate::wrr::TraefikRoundRobin;
