//! The parts that benches share, and those that can be tested without running one.

pub mod cycle;
pub mod results;
pub mod statistics;
