//! The own samples of the last seconds.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use super::counts::Counts;

/// Holds the last samples of this replica, so that the counts of a sibling can be compared with its own of the same
/// moment. With the present ones, connections that opened meanwhile would be taken for known to the sibling.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Samples at least [`SPACING`] apart, oldest first.
    kept: VecDeque<Arc<OwnSample>>,
    last: Option<Arc<OwnSample>>,
}

/// A sample of this replica.
#[derive(Debug)]
pub(super) struct OwnSample {
    /// Number of the sample, from 1.
    pub(super) number: u64,
    pub(super) at: Instant,
    /// Number of connections that have opened since the first sample.
    pub(super) opened: u64,
    pub(super) connections: Counts,
}

/// Minimum time between two samples that are kept. A connection that opens in between counts as one that the sibling does
/// not know of yet, which is the safe side.
const SPACING: Duration = Duration::from_millis(50);

/// Maximum number of samples that are kept: those of the time after which a sibling is silent.
const MAX_KEPT: usize = 100;

impl History {
    /// Adds a sample, of which `connections` are in the order of addresses.
    pub(super) fn add(
        &mut self,
        connections: impl Iterator<Item = (SocketAddr, u32)> + Clone,
        opened: u32,
        at: Instant,
    ) {
        let last = self.last.as_deref();
        let number = last.map_or(0, |last| last.number).saturating_add(1);
        let opened = last.map_or(0, |last| last.opened.saturating_add(opened.into()));
        let connections = Counts::collect(connections, last.map(|last| &last.connections));
        let sample = Arc::new(OwnSample { number, at, opened, connections });
        if self.kept.back().is_none_or(|kept| at.saturating_duration_since(kept.at) >= SPACING) {
            if self.kept.len() == MAX_KEPT {
                self.kept.pop_front();
            }
            self.kept.push_back(Arc::clone(&sample));
        }
        self.last = Some(sample);
    }

    pub(super) fn last(&self) -> Option<&OwnSample> {
        self.last.as_deref()
    }

    /// Returns the latest sample that was taken at `moment` or before; the oldest one if all are later. Without a sample,
    /// that is one without connections.
    pub(super) fn at(&self, moment: Instant) -> Arc<OwnSample> {
        let latest = self.last.iter().chain(self.kept.iter().rev()).find(|sample| sample.at <= moment);
        let found = latest.or(self.kept.front()).map(Arc::clone);
        found.unwrap_or_else(|| {
            let connections = Counts::collect(std::iter::empty(), None);
            Arc::new(OwnSample { number: 0, at: moment, opened: 0, connections })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(history: &mut History, connections: u32, at: Instant) {
        history.add([(([10, 0, 0, 1], 1).into(), connections)].into_iter(), 1, at);
    }

    fn connections(sample: &OwnSample) -> u32 {
        sample.connections.iter().map(|(_, connections)| connections).sum()
    }

    #[test]
    fn counts_are_compared_with_the_own_ones_of_that_moment_or_of_shortly_before() {
        let (start, mut history) = (Instant::now(), History::default());
        assert_eq!(connections(&history.at(start)), 0, "there is no sample yet");
        for step in 0..1_000u32 {
            sample(&mut history, step, start + step * Duration::from_millis(10));
        }
        let at = |ms: u64| connections(&history.at(start + Duration::from_millis(ms)));
        assert_eq!([at(20_000), at(9_990), at(9_989), at(9_951), at(9_949)], [999, 999, 995, 995, 990]);
        assert_eq!(at(0), 500, "the oldest one that is kept");
        assert_eq!(history.kept.len(), MAX_KEPT);
    }
}
