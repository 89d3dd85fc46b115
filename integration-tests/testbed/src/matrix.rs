//! Checks of the client with a real Traefik: the tests run them on the newest version, `make test-matrix` on all versions
//! for the table in `docs/`.

mod check;
mod configurations;
mod features;
mod guards;
mod poison;

pub use check::{Check, Version};
pub use features::features;
pub use guards::guards;
pub use poison::poisons;
