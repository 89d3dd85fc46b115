//! The path and the version of the exchange, and the limits of an answer.

/// Path at which each replica answers.
pub const PATH: &str = "/siblings";

/// Version of the exchange. Fields may be added without another one, and unknown fields are ignored.
pub const VERSION: u64 = 1;

/// Maximum size of an answer: 40 000 backends with the longest addresses.
pub const MAX_ANSWER_BYTES: usize = 4 << 20;

/// Maximum number of pools in an answer.
pub const MAX_POOLS: usize = 1000;
