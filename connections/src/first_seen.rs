//! The moments at which what counts connections saw them first.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Instant,
};

/// Moments at which connections were first seen, by their cookies, and whether they had been opened only a moment before.
pub(crate) type FirstSeenAt = HashMap<u64, (Instant, bool)>;

/// Returns the moments of those connections with these cookies that are known.
pub(crate) type FirstSeen = Arc<dyn Fn(&BTreeSet<u64>) -> FirstSeenAt + Send + Sync>;
