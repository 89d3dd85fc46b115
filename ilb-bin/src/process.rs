//! How the process behaves towards its surroundings: its log, its end on a panic, and the signals that stop it.

pub(crate) mod logging;
pub(crate) mod panic;
pub(crate) mod signals;
