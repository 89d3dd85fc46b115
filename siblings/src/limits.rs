//! The path and the version of the exchange, and the limits of an answer.

use std::time::Duration;

/// Path at which each replica answers.
pub const PATH: &str = "/siblings";

/// Version of the exchange. Fields may be added without another one, and unknown fields are ignored.
pub const VERSION: u64 = 1;

/// Maximum size of an answer: 40 000 backends with the longest addresses.
pub const MAX_ANSWER_BYTES: usize = 4 << 20;

/// Maximum number of pools in an answer.
pub const MAX_POOLS: usize = 1000;

/// Maximum number of counts of all pools together that are kept of one sibling: as many as a complete answer has room for, however
/// many answers about changes they came in.
pub(crate) const MAX_COUNTS: usize = MAX_ANSWER_BYTES / SHORTEST_COUNT.len();

/// The shortest text of one count.
const SHORTEST_COUNT: &str = r#""1.1.1.1:1":1,"#;

/// Maximum time for which a question waits for the next sample before it is answered. Replicas count at least once a second, so an
/// answer mostly comes with new counts.
pub const MAX_WAIT: Duration = Duration::from_millis(1_500);
