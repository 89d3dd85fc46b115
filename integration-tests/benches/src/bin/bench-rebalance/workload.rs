//! Requests of clients.

use std::time::Duration;

use ilb_benches::random::Random;
use serde::{Deserialize, Serialize};

/// Requests of a client between two pauses for thinking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Workload {
    /// One request that takes 30 ms, and 1.5 s in one of ten cases.
    A,
    /// A request that takes no time, and at once another one that takes 1.5 s: `BEGIN; SELECT …`.
    B,
}

const QUICK: Duration = Duration::ZERO;
const USUAL: Duration = Duration::from_millis(30);
const SLOW: Duration = Duration::from_millis(1_500);

impl Workload {
    /// Returns the times that the requests of one turn take.
    pub(crate) fn requests(self, random: &mut Random) -> &'static [Duration] {
        match self {
            Self::A if random.uniform() < 0.1 => &[SLOW],
            Self::A => &[USUAL],
            Self::B => &[QUICK, SLOW],
        }
    }

    /// Returns the name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::B => "B",
        }
    }
}
