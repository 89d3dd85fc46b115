//! The parts that benches share, and those that can be tested without running one.

pub mod alone;
pub mod bar;
pub mod cycle;
pub mod neighbourhood;
pub mod processor_time;
pub mod random;
pub mod results;
pub mod run;
pub mod selection;
pub mod statistics;
pub mod test_run;
pub mod versions;
