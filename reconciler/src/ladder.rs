use std::time::Duration;

use crate::gcd::gcd;

/// What the ladder has to know about a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LadderInput {
    /// Its live connections.
    pub connections: u32,
    /// Its shares of the connections relative to the others; at least 1.
    pub capacity: u8,
    /// How much of its share it may have already, in parts of [`LadderInput::WHOLE`]. Less than all only during a slow start.
    pub warmth: u32,
}

impl LadderInput {
    /// A backend that may have its whole share.
    pub const WHOLE: u32 = 1 << 16;

    /// A backend with this many connections, a capacity of 1 and its whole share.
    pub fn new(connections: u32) -> Self {
        Self { connections, capacity: 1, warmth: Self::WHOLE }
    }

    /// The same backend with another capacity.
    #[must_use]
    pub fn with_capacity(self, capacity: u8) -> Self {
        Self { capacity: capacity.max(1), ..self }
    }

    /// The same backend at this age, if a new backend gets its whole share only after `slow_start` (zero: at once).
    #[must_use]
    pub fn with_age(self, age: Duration, slow_start: Duration) -> Self {
        let part = age.as_millis().saturating_mul(Self::WHOLE.into()).checked_div(slow_start.as_millis());
        let warmth = part.and_then(|p| u32::try_from(p).ok()).map_or(Self::WHOLE, |p| p.min(Self::WHOLE));
        Self { warmth, ..self }
    }
}

/// The headroom: how many connections per share the weights place in turn after all deficits are filled. Large, because
/// it costs nothing; small enough that a weight fits in 32 bits with all that is added.
const HEADROOM: u64 = 1_000_000;

/// A deficit above this many connections per share is cut.
const MAX_DEFICIT_PER_SHARE: u64 = 1 << 20;

/// Weights that make Traefik's weighted round robin place every new connection on a least loaded backend.
///
/// For each backend, in the order given, one weight per share of its capacity: headroom plus what it lacks compared with
/// the fullest one, relative to capacity. Traefik begins with the highest weights and goes down by the greatest common divisor of
/// all weights, which is 1 here; so at each level it serves once exactly those backends that have the fewest connections
/// at that moment, whatever the number of connections that come. When all deficits are filled it is round robin.
///
/// `turn` makes the result differ from that of another turn even if the counts are the same: Traefik ignores a
/// configuration that equals the last one, and would go on where it was.
///
/// With equal capacities the order is that of join-the-shortest-queue; with others the loads per share differ by at most one
/// connection more than there.
pub fn ladder(backends: &[LadderInput], turn: u64) -> Vec<Vec<u32>> {
    let share = gcd(backends.iter().map(|b| b.capacity.into())).max(1);
    let shares = |b: &LadderInput| u64::from(b.capacity) / share;
    let fullest = backends.iter().map(|b| u64::from(b.connections).div_ceil(shares(b))).max().unwrap_or(0);
    let deficits: Vec<Vec<u64>> = backends.iter().map(|b| spread(deficit(b, shares(b), fullest), shares(b))).collect();
    let smallest = deficits.iter().flatten().copied().min().unwrap_or(0);
    let step = gcd(deficits.iter().flatten().map(|d| d - smallest));
    let turn = turn % 2;
    // A common divisor above 1 would make a pass skip levels.
    let base = if step <= 1 { HEADROOM + turn } else { (HEADROOM.div_ceil(step) + turn) * step + 1 };
    let weight = |deficit: u64| u32::try_from(base + deficit - smallest).unwrap_or(u32::MAX);
    deficits.into_iter().map(|of_backend| of_backend.into_iter().map(weight).collect()).collect()
}

/// How many connections a backend lacks.
fn deficit(backend: &LadderInput, shares: u64, fullest: u64) -> u64 {
    let target = shares * fullest * u64::from(backend.warmth) / u64::from(LadderInput::WHOLE);
    target.saturating_sub(backend.connections.into()).min(MAX_DEFICIT_PER_SHARE * shares)
}

/// `deficit` in as many nearly equal parts as there are shares.
fn spread(deficit: u64, shares: u64) -> Vec<u64> {
    (0..shares).map(|k| (deficit + k) / shares).collect()
}

#[cfg(test)]
mod tests;
