//! The exchange by which replicas of a load balancer tell each other of their connections.
#![cfg_attr(feature = "client", doc = "", doc = include_str!("../README.md"))]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "client")]
mod client;
mod event;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod limits;
#[cfg(feature = "client")]
mod members;
mod own_reports;
#[cfg(feature = "client")]
mod polling;
mod problem;
mod question;
mod wire;

pub use crate::{
    event::SiblingEvent,
    limits::{MAX_ANSWER_BYTES, MAX_POOLS, MAX_WAIT, PATH, VERSION},
    own_reports::OwnReports,
    problem::Problem,
    question::{Known, Question},
    wire::Answer,
};

#[cfg(feature = "client")]
pub use crate::polling::{draw_identity, poll};
