//! What a running ilb shows of itself: log lines, the facts behind the status document, metrics, and the admin server.

pub(crate) mod admin;
mod chain;
pub(crate) mod insight;
pub(crate) mod log;
pub(crate) mod metrics;
mod repeats;
