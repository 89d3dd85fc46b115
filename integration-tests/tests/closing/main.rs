//! Connections are closed on purpose only within the limits of the closer, and without cutting requests.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod privileges;
mod protocols;
mod rebalance;
mod refusals;
mod requests;
mod scene;
