//! The checks, in the order of a release's life.

pub(crate) mod backends;
pub(crate) mod closing;
pub(crate) mod crashes;
pub(crate) mod families;
pub(crate) mod install;
pub(crate) mod laptop;
pub(crate) mod policy;
pub(crate) mod pools;
pub(crate) mod release;
pub(crate) mod replicas;
pub(crate) mod security;
