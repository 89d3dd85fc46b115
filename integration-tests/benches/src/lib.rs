//! The parts that benches share, and those that can be tested without running one.

pub mod bar;
pub mod cycle;
pub mod processor_time;
pub mod results;
pub mod selection;
pub mod statistics;
