//! Builds what runs from the settings: sources, sinks, pools and the process around them.

mod certificate;
mod cluster;
mod connections;
mod pools;
mod reload;
mod run;
mod traefik;

pub(crate) use self::{pools::Pools, run::run, traefik::Sink};
