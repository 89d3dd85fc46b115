//! `ilb`, an internal TCP load balancer for Kubernetes: keeps the configuration of the Traefik beside it up to date with
//! the ready pods of a label selector.
//!
//! All of it is in this library so that the fuzz targets reach it; it has no interface but [`main`].

mod cli;
mod exit;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod observe;
mod process;
mod settings;
mod wiring;

pub use cli::main;
