//! Several replicas before the same backends balance as one, and none of them is hurt by another.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod faults;
mod replicas;
mod totals;
