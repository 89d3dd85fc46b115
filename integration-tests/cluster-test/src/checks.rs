//! The checks, in the order of a release's life.

pub(crate) mod backends;
pub(crate) mod closing;
pub(crate) mod crashes;
pub(crate) mod install;
pub(crate) mod pools;
pub(crate) mod release;
pub(crate) mod security;
