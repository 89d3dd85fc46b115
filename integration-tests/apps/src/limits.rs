//! Time limits for waiting: far longer than anything takes in a working system. None of them is a bar.

use std::time::Duration;

/// Limit for all clients to be back, and to have operations confirmed.
pub(crate) const BACK: Duration = Duration::from_secs(90);
/// Limit for connections to be where they should be. A closer that did not get the processor for a second has failed, after
/// which nothing is closed for a minute.
pub(crate) const LEVEL: Duration = Duration::from_secs(150);
