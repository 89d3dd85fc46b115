//! What the benches share.

pub mod figures;
