//! Builds what runs from the settings: sources of backends, clients of Traefik, pools, and the process around them.

mod admission;
mod certificate;
mod cluster;
mod connections;
mod pools;
mod reload;
mod run;
mod settings_file;
mod siblings;
mod traefik;

pub(crate) use self::{admission::check_admission, pools::PoolFactory, run::run, traefik::TraefikClients};
