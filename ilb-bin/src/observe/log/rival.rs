//! The lines about another program that writes to a Traefik.

pub(super) const ANOTHER_PROGRAM: &str = "Another program writes to this Traefik";
pub(super) const NO_OTHER_PROGRAM: &str = "No other program writes to this Traefik any more";
pub(super) const HELP_WITH_RIVAL: &str = "end one of them, or give each a Traefik of its own";
