//! The rule by which a replica blends the counts of its siblings into its own.

use crate::gcd::gcd;

/// Knowledge of a replica about all backends that get connections, in one order.
pub(super) struct Input<'a> {
    /// Own connections.
    pub(super) connections: &'a [u32],
    /// Shares of the connections relative to the other backends; 0 counts as 1.
    pub(super) capacities: &'a [u8],
    /// Own weight in the arrivals.
    pub(super) arrivals: f64,
    pub(super) siblings: &'a [Neighbour],
}

/// Knowledge about one sibling, with the backends in the same order.
pub(super) struct Neighbour {
    /// Connections of the sibling when it counted.
    pub(super) connections: Vec<u32>,
    /// Own connections at that moment.
    pub(super) own_then: Vec<u32>,
    /// Own connections that opened since then.
    pub(super) opened_since: u64,
    /// Weight of the sibling in the arrivals.
    pub(super) arrivals: f64,
}

/// Heights of the backends for one replica, in connections of its own: the ladder places its connections as if each
/// backend had as many.
///
/// Over all replicas the heights of a backend sum up to its connections, if all know the same: so what a backend lacks is
/// given to it once, by each replica in proportion to its share of the arrivals.
#[derive(Clone, Debug)]
pub(crate) struct Heights {
    of_backends: Vec<f64>,
    /// Shares of the capacity in lowest terms.
    capacities: Vec<f64>,
    /// Part of all connections that this replica gets.
    pub(crate) share: f64,
    /// Mean freshness of the siblings' counts, 0 to 1.
    freshness: f64,
    /// Connections of all replicas by backend, times the own share.
    pub(crate) loads: Vec<f64>,
    /// Loads as far as they are known: what has changed here since the siblings counted is in them as whole connections.
    levels: Vec<f64>,
}

/// A height in whole connections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Whole {
    pub(crate) connections: u32,
    /// Parts of a connection by which it is more than the height, apart from what all have in common.
    pub(crate) rounded_up_by: f64,
}

/// Part of the counts of a sibling, as long as they are fresh, that takes the place of the own ones. A rest of the own
/// counts keeps the connections of each replica spread, which is what remains when a sibling is lost, and lets replicas
/// begin with different backends among equal ones. From 0.8 to 0.97 the balance is about the same.
const TRUST: f64 = 0.9;

/// Speed at which counts become old: with so many connections to the sibling per share of capacity since it counted,
/// freshness is halved, when multiplied by this. Counts age by connections because these are what they do not know.
const AGEING: f64 = 2.0;

/// Difference between heights that comes from calculating with floats.
const ROUNDING_ERROR: f64 = 1e-6;

/// Returns the heights of the backends; `None` without siblings or backends.
///
/// A sibling adds its connections times the own share, and takes away the own connections that it knows of times its
/// share. So a connection that opens or ends here moves the height by a whole connection until the siblings have
/// counted again: however many arrive before that, each replica fills its part of a gap once.
pub(super) fn blend(input: &Input<'_>) -> Option<Heights> {
    if input.siblings.is_empty() || input.connections.is_empty() {
        return None;
    }
    let capacities = in_lowest_terms(input.capacities);
    let all_capacities: f64 = capacities.iter().sum();
    let (share, shares) = shares(input.arrivals, input.siblings.iter().map(|s| s.arrivals));
    let mut heights: Vec<f64> = input.connections.iter().map(|c| f64::from(*c)).collect();
    let mut loads: Vec<f64> = heights.iter().map(|own| own * share).collect();
    let mut levels = heights.clone();
    let mut freshness = 0.0;
    for (sibling, its_share) in input.siblings.iter().zip(&shares) {
        #[expect(
            clippy::cast_precision_loss,
            reason = "numbers that large mean old counts, whatever their last digits"
        )]
        let opened_there = sibling.opened_since as f64 * its_share / share;
        let fresh = 1.0 / (1.0 + AGEING * opened_there / all_capacities);
        freshness += fresh;
        let known = sibling.connections.iter().zip(&sibling.own_then);
        let of_backends = heights.iter_mut().zip(&mut loads).zip(&mut levels);
        for (((height, load), level), (connections, own_then)) in of_backends.zip(known) {
            let exchanged = share * f64::from(*connections) - its_share * f64::from(*own_then);
            *height += TRUST * fresh * exchanged;
            *level += exchanged;
            *load += share * f64::from(*connections);
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "there are few siblings")]
    let freshness = freshness / input.siblings.len() as f64;
    Some(Heights { of_backends: heights, capacities, share, freshness, loads, levels })
}

/// Returns the shares of the capacity without a common divisor.
fn in_lowest_terms(capacities: &[u8]) -> Vec<f64> {
    let unit = gcd(capacities.iter().map(|c| u64::from((*c).max(1)))).max(1);
    let unit = u8::try_from(unit).unwrap_or(1);
    capacities.iter().map(|c| f64::from((*c).max(1) / unit)).collect()
}

/// Returns which part of all connections a replica and each of its siblings get, by the weight of each in the
/// arrivals. They sum up to 1.
pub(super) fn shares(own: f64, siblings: impl Iterator<Item = f64>) -> (f64, Vec<f64>) {
    let siblings: Vec<f64> = siblings.collect();
    let sum = own + siblings.iter().sum::<f64>();
    (own / sum, siblings.into_iter().map(|arrivals| arrivals / sum).collect())
}

impl Heights {
    /// Creates the heights of a replica that hears no sibling: its own connections.
    pub(crate) fn alone(connections: &[u32], capacities: &[u8]) -> Self {
        let own: Vec<f64> = connections.iter().map(|c| f64::from(*c)).collect();
        let capacities = in_lowest_terms(capacities);
        Self { loads: own.clone(), levels: own.clone(), of_backends: own, capacities, share: 1.0, freshness: 1.0 }
    }

    /// Lowers the backends that are near, so that they come before the others until their connections through all replicas
    /// reach `ceiling` times the mean.
    ///
    /// One that has reached it is as high as the highest of the others, so that all go on in turn: where each gets one, the
    /// mean rises by one, and `ceiling` times the mean by more. One that lacks something stands by as much below, and one that
    /// has too much by as many above as the others have to get until `ceiling` times the mean has reached it. What siblings have
    /// not counted yet is in its level as whole connections, as it is in heights, so that a replica fills
    /// its part of the room once.
    pub(crate) fn prefer(&mut self, is_near: &[bool], ceiling: f64) {
        let all: f64 = self.capacities.iter().sum();
        let mean = self.levels.iter().sum::<f64>() / all;
        let of_others = self.backends().zip(is_near).filter(|(_, is_near)| !**is_near);
        let highest = of_others.map(|((height, capacity), _)| height / capacity).reduce(f64::max);
        let Some(highest) = highest else { return };
        let far = self.capacities.iter().zip(is_near).filter(|(_, is_near)| !**is_near).map(|(c, _)| c).sum::<f64>();
        let backends = self.of_backends.iter_mut().zip(&self.levels).zip(&self.capacities);
        for (((height, level), capacity), _) in backends.zip(is_near).filter(|(_, is_near)| **is_near) {
            let room = ceiling * mean * capacity - level;
            let below = if room < 0.0 { room / (ceiling * far / all) } else { room };
            *height = height.min(highest * capacity - below);
        }
    }

    /// Returns the heights in whole connections, all at 0 or above.
    ///
    /// With fresh counts they are rounded up from the lowest backend. One connection of a sibling is less than one step
    /// here, so rounding to the nearest would lose it, and the first connection at each replica goes to the very lowest
    /// backend. With old counts parts of a connection mean nothing, and the nearest whole number is taken.
    pub(crate) fn whole(&self) -> Vec<Whole> {
        let tolerance = 0.5 * (1.0 - self.freshness) + ROUNDING_ERROR;
        let level = self.reference(tolerance);
        let exact = || self.backends().map(|(height, capacity)| height - level * capacity);
        let rounded: Vec<f64> = exact().map(|height| (height - tolerance).ceil()).collect();
        let missing = |(rounded, capacity): (&f64, &f64)| (-rounded / capacity).ceil();
        let raised_by = rounded.iter().zip(&self.capacities).map(missing).fold(0.0, f64::max);
        let whole = rounded.iter().zip(exact()).zip(&self.capacities).map(|((rounded, exact), capacity)| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
            let connections = (rounded + raised_by * capacity) as u32;
            Whole { connections, rounded_up_by: rounded - exact }
        });
        whole.collect()
    }

    /// Returns the level per share of capacity from which heights are rounded: that which makes the lowest one whole.
    fn reference(&self, tolerance: f64) -> f64 {
        let lowest = self.backends().min_by(|a, b| (a.0 / a.1).total_cmp(&(b.0 / b.1)));
        lowest.map_or(0.0, |(height, capacity)| (height - (height + tolerance).floor()) / capacity)
    }

    /// Returns the height and the capacity of each backend.
    fn backends(&self) -> impl Iterator<Item = (f64, f64)> {
        self.of_backends.iter().copied().zip(self.capacities.iter().copied())
    }
}

#[cfg(test)]
mod tests;
