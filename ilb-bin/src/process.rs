//! The process and its surroundings: its runtime, its log, its exit on a panic, and the signals that stop it.

pub(crate) mod logging;
pub(crate) mod panic;
pub(crate) mod runtime;
pub(crate) mod signals;
