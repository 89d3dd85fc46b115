//! Makes faults at random moments, in a real system, and compares what happens with a model.
//!
//! A [`Schedule`] is the list of steps of a seed. [`run`] starts the components, makes the faults of each step, and asks a
//! model what must hold meanwhile and afterwards. [`replay`] looks for the fewest steps that fail as well.

mod change;
mod clients;
mod cluster;
mod fault;
mod faults;
mod judge;
mod limits;
mod model;
pub mod options;
pub mod replay;
pub mod report;
mod resources;
pub mod results;
mod rows;
mod run;
mod schedule;
mod seen;
mod servers;
mod setup;
mod shrink;
pub mod test_times;
mod violation;
mod world;
mod writer;

pub use crate::{
    fault::Fault,
    resources::Trend,
    run::{Outcome, Record, run},
    schedule::{Schedule, Step, first_round},
    setup::Setup,
    violation::Violation,
};
