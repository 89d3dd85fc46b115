//! Statistics and result files, which the benches share.

pub mod results;
pub mod statistics;
