//! The ladder of weights that makes Traefik's weighted round robin choose a least loaded backend.

use std::time::Duration;

use crate::gcd::gcd;

/// Facts about one backend from which its weights are calculated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LadderInput {
    /// Live connections.
    pub connections: u32,
    /// Shares of the connections relative to the other backends; 0 counts as 1.
    pub capacity: u8,
    /// Progress of the backend's slow start in parts of [`LadderInput::SLOW_START_DONE`]: the part of its share of the
    /// connections that it may already have. More counts as all of it.
    pub slow_start_progress: u32,
    /// Maximum number of connections that the backend may get before the others because it has fewer.
    pub max_head_start: u32,
}

impl LadderInput {
    /// Progress of a backend that may have its whole share.
    pub const SLOW_START_DONE: u32 = 1 << 16;

    /// Creates the input for a backend with this many connections, a capacity of 1, no limit of its head start and no slow start.
    pub fn new(connections: u32) -> Self {
        Self { connections, capacity: 1, slow_start_progress: Self::SLOW_START_DONE, max_head_start: u32::MAX }
    }

    /// Replaces the capacity.
    #[must_use]
    pub fn with_capacity(self, capacity: u8) -> Self {
        Self { capacity: capacity.max(1), ..self }
    }

    /// Returns `true` if something else than its connections limits the head start of the backend.
    pub(crate) fn is_limited(&self) -> bool {
        self.max_head_start < u32::MAX || self.slow_start_progress < Self::SLOW_START_DONE
    }

    /// Limits the head start.
    #[must_use]
    pub fn with_max_head_start(self, max_head_start: u32) -> Self {
        Self { max_head_start, ..self }
    }

    /// Sets the progress of the slow start to that of a backend of this age, which has its whole share after
    /// `slow_start` (zero: at once).
    #[must_use]
    pub fn with_age(self, age: Duration, slow_start: Duration) -> Self {
        let done = Self::SLOW_START_DONE;
        let part = age.as_millis().saturating_mul(done.into()).checked_div(slow_start.as_millis());
        let slow_start_progress = part.and_then(|p| u32::try_from(p).ok()).map_or(done, |p| p.min(done));
        Self { slow_start_progress, ..self }
    }
}

/// Number of connections per share that the weights place in turn after all deficits are filled. It is large, because
/// that costs nothing, and small enough that a weight with everything added to it fits in 32 bits.
const HEADROOM: u64 = 1_000_000;

/// Maximum deficit in connections per share; larger ones are cut.
const MAX_DEFICIT_PER_SHARE: u64 = 1 << 20;

/// Returns weights that make Traefik's weighted round robin place every new connection on a least loaded backend.
///
/// For each backend, in the order given, there is one weight per share of its capacity: headroom plus what the backend
/// lacks compared with the fullest one, relative to capacity. Traefik begins with the highest weights and goes down by
/// the greatest common divisor of all weights, which is 1 here. So at each level it serves once exactly those backends
/// that have the fewest connections at that moment, however many connections arrive. When all deficits are filled, the
/// rest is round robin.
///
/// Consecutive values of `decision_number` give different weights even for equal counts: Traefik ignores a
/// configuration that equals the last one, and would continue in the middle of its round.
///
/// With equal capacities the order is that of join-the-shortest-queue; with others the loads per share differ by at
/// most one connection more than there.
pub fn weights(backends: &[LadderInput], decision_number: u64) -> Vec<Vec<u32>> {
    let share = gcd(backends.iter().map(|b| b.capacity.max(1).into())).max(1);
    let shares = |b: &LadderInput| u64::from(b.capacity.max(1)) / share;
    let fullest = backends.iter().map(|b| u64::from(b.connections).div_ceil(shares(b))).max().unwrap_or(0);
    let deficits = |b: &LadderInput| spread(deficit(b, shares(b), fullest), shares(b));
    let smallest = backends.iter().flat_map(deficits).min().unwrap_or(0);
    let step = gcd(backends.iter().flat_map(deficits).map(|d| d - smallest));
    let shift = decision_number % 2;
    // A common divisor above 1 would make a pass skip levels.
    let base = if step <= 1 { HEADROOM + shift } else { (HEADROOM.div_ceil(step) + shift) * step + 1 };
    let weight = |deficit: u64| u32::try_from(base + deficit - smallest).unwrap_or(u32::MAX);
    backends.iter().map(|b| deficits(b).map(weight).collect()).collect()
}

/// Returns the number of connections that a backend lacks.
fn deficit(backend: &LadderInput, shares: u64, fullest: u64) -> u64 {
    let whole = u64::from(LadderInput::SLOW_START_DONE);
    let target = shares * fullest * u64::from(backend.slow_start_progress).min(whole) / whole;
    target
        .saturating_sub(backend.connections.into())
        .min(MAX_DEFICIT_PER_SHARE * shares)
        .min(backend.max_head_start.into())
}

/// Splits `deficit` into nearly equal parts, one per share.
fn spread(deficit: u64, shares: u64) -> impl Iterator<Item = u64> {
    (0..shares).map(move |k| (deficit + k) / shares)
}

#[cfg(test)]
mod tests;
