//! Whatever happens to a real Traefik, `ilb-traefik-client` and ilb put their configuration in force, and know that it is.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod features;
mod frozen;
mod kills;
mod poison;
mod restart;
mod secured;
mod throttle;
