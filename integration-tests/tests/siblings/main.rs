//! Several replicas before the same backends balance as one, and none of them is hurt by another.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod faults;
mod impostor;
mod impostors;
mod limit;
mod page;
mod plan;
mod postgresql;
mod replicas;
mod totals;
