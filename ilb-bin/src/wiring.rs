//! Builds what runs from the settings: sources of backends, clients of Traefik, pools, and the process around them.

mod admission;
mod certificate;
mod cluster;
mod connections;
mod flows;
pub(crate) mod objects;
mod own_zone;
mod pools;
mod reload;
mod run;
mod settings_file;
mod siblings;
mod traefik;

pub(crate) use self::{
    admission::check_admission,
    cluster::Cluster,
    own_zone::find_for_a_plan,
    pools::PoolFactory,
    run::run,
    siblings::ask_once,
    traefik::{TraefikClients, survey_traefik},
};
