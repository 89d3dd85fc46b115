//! The process and its surroundings: its runtime, its log, its exit on a panic, and the signals that stop it.

#[cfg(test)]
pub(crate) mod collected_lines;
mod log_queue;
pub(crate) mod logging;
pub(crate) mod panic;
mod repeated_lines;
pub(crate) mod runtime;
pub(crate) mod signals;
