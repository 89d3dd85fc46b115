//! The record of an event: what was done, and what the clients of an application saw.

use serde::{Deserialize, Serialize};

use crate::{
    event::Event,
    window::{Kept, Window},
};

/// Record of what one event was to the clients of one application.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) application: String,
    pub(crate) event: Event,
    /// Set if the rules of the example by which connections are closed were in effect.
    pub(crate) closing: bool,
    /// Number of clients of all pools.
    pub(crate) clients: usize,
    /// Connections to each server that is balanced over, before and after.
    pub(crate) before: Vec<usize>,
    pub(crate) after: Vec<usize>,
    pub(crate) seen: Window,
    /// `None` if the servers store nothing.
    pub(crate) kept: Option<Kept>,
    /// Connections that ilb closed.
    pub(crate) closed: usize,
    /// Number of them that it closed whatever was going on.
    pub(crate) cut: usize,
    /// Duration of the event with what came of it, in seconds.
    pub(crate) took: f64,
}
