//! Promises of closing.

#![allow(
    clippy::unchecked_time_subtraction,
    clippy::type_complexity,
    reason = "the clock of a test is far from its ends"
)]

mod crowded;
mod holds;
mod placement;
mod properties;
mod reasons;
mod search;
mod simulation;
mod together;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use ilb_discovery::{Backend, BackendSet, Capacity, State};

use super::*;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

fn address(number: usize) -> SocketAddr {
    ([10, 0, 0, u8::try_from(number).unwrap()], 80).into()
}

fn set(backends: impl IntoIterator<Item = Backend>) -> BackendSet {
    backends.into_iter().collect()
}

fn discovered() -> Origin {
    Origin::Discovered { left_selector: BTreeSet::new() }
}

/// Returns a view in which nothing is in doubt.
fn clear(now: Instant) -> View {
    View {
        is_fresh: true,
        is_in_force: true,
        proxy_since: Some(now),
        can_count: true,
        has_closer: true,
        has_turn: true,
        ..View::default()
    }
}

fn only_rebalance() -> ClosingPolicy {
    ClosingPolicy { rebalance: Some(Rebalance::default()), ..ClosingPolicy::default() }
}
