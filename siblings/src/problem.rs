//! Problems for which a sibling is not heard.

use std::time::Duration;

use crate::limits::{MAX_ANSWER_BYTES, VERSION};

/// Cause for which the answer of a sibling, or the lack of one, is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// No connection could be made, or it ended before the answer did.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// The answer took too long.
    #[error("it has not answered within {0:?}")]
    TooSlow(Duration),
    /// The answer is an error.
    #[error("it answered with status {0}{hint}", hint = if *.0 == 404 { ": it is of a version without siblings, or something else listens there" } else { "" })]
    Status(u16),
    /// The answer is longer than [`MAX_ANSWER_BYTES`].
    #[error("its answer is longer than {MAX_ANSWER_BYTES} bytes")]
    TooLong,
    /// The answer is of another version of the exchange.
    #[error(
        "its answer is of version {0} of the exchange, and this ilb knows version {VERSION}: run the same version of ilb in all replicas"
    )]
    OtherVersion(u64),
    /// The answer is none of the exchange.
    #[error("its answer cannot be parsed: {0}")]
    Unintelligible(String),
}

impl Problem {
    /// All kinds, in the order of the variants.
    pub const KINDS: [&'static str; 6] = ["unreachable", "slow", "status", "too_long", "version", "unintelligible"];

    /// Returns the kind of the problem in one word.
    pub fn kind(&self) -> &'static str {
        let [unreachable, slow, status, too_long, version, unintelligible] = Self::KINDS;
        match self {
            Self::Unreachable(_) => unreachable,
            Self::TooSlow(_) => slow,
            Self::Status(_) => status,
            Self::TooLong => too_long,
            Self::OtherVersion(_) => version,
            Self::Unintelligible(_) => unintelligible,
        }
    }

    /// Returns `true` if something else than a sibling has answered, which a short pause will not change.
    #[cfg(feature = "client")]
    pub(crate) fn is_answer(&self) -> bool {
        !matches!(self, Self::Unreachable(_) | Self::TooSlow(_))
    }
}
