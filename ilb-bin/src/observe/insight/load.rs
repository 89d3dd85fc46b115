use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use ilb_connections::{Load, Sample};
use ilb_reconciler::{LeastConnections, least_connections::ProbeResult};
use tokio::time::Instant;

/// What is known of the connections of one pool.
#[derive(Debug, Default)]
pub(crate) struct LoadFacts {
    /// `None`: nobody has counted yet, or that is not possible now.
    pub(crate) latest: Option<Latest>,
    /// Why the connections cannot be counted, if so.
    pub(crate) problem: Option<(String, Instant)>,
    /// Connections that came and went since the start, of the backends that are there.
    pub(crate) totals: BTreeMap<SocketAddr, Totals>,
    pub(crate) history: History,
    pub(crate) samples: u64,
    pub(crate) failures: u64,
    /// The processor time of all samples.
    pub(crate) cost: Duration,
    pub(crate) answered: u64,
    pub(crate) unanswered: u64,
}

/// The last count.
#[derive(Debug)]
pub(crate) struct Latest {
    pub(crate) at: Instant,
    pub(crate) loads: BTreeMap<SocketAddr, Load>,
}

/// Connections of one backend since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) born: u64,
    pub(crate) gone: u64,
    /// Those that came since the plan in force is in force.
    pub(crate) since_push: u64,
}

impl LoadFacts {
    pub(super) fn sampled(
        &mut self,
        sample: &Sample,
        balancer: &LeastConnections,
        is_known: impl Fn(&SocketAddr) -> bool,
        now: Instant,
    ) {
        self.samples += 1;
        self.cost += sample.cost();
        self.problem = None;
        for (address, load) in sample.iter().filter(|(address, _)| is_known(address)) {
            let totals = self.totals.entry(address).or_default();
            totals.born += u64::from(load.opened);
            totals.since_push = balancer.opened_since_push(address).into();
            totals.gone += u64::from(load.closed);
        }
        self.latest = Some(Latest { at: now, loads: sample.iter().collect() });
    }

    pub(super) fn pushed(&mut self) {
        self.totals.values_mut().for_each(|totals| totals.since_push = 0);
    }

    pub(super) fn failed(&mut self, reason: &str, now: Instant) {
        self.failures += 1;
        self.latest = None;
        let since = self.problem.take().map_or(now, |(_, since)| since);
        self.problem = Some((reason.to_owned(), since));
    }

    pub(super) fn probed(&mut self, result: ProbeResult) {
        *match result {
            ProbeResult::Answered => &mut self.answered,
            ProbeResult::Unanswered => &mut self.unanswered,
        } += 1;
    }

    /// Forgets the backends that are gone.
    pub(super) fn keep(&mut self, is_known: impl Fn(&SocketAddr) -> bool) {
        self.totals.retain(|address, _| is_known(address));
        if let Some(latest) = &mut self.latest {
            latest.loads.retain(|address, _| is_known(address));
        }
    }

    /// The load of a backend, if the connections are counted.
    pub(crate) fn of(&self, backend: SocketAddr) -> Option<Load> {
        Some(self.latest.as_ref()?.loads.get(&backend).copied().unwrap_or_default())
    }
}

/// How unequal the loads of the backends that take connections are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Imbalance {
    /// How far the fullest is above the mean, relative to the mean, per share of capacity: 0 is perfect.
    pub(crate) ratio: f64,
    /// The same in connections per share of capacity.
    pub(crate) connections: f64,
}

impl Imbalance {
    /// Of these loads, in connections per share of capacity. `None` where there is nothing to compare.
    pub(crate) fn of(loads: impl Iterator<Item = f64>) -> Option<Self> {
        let (mut count, mut sum, mut fullest) = (0.0, 0.0, 0.0_f64);
        for load in loads {
            count += 1.0;
            sum += load;
            fullest = fullest.max(load);
        }
        let mean = sum / count;
        (mean > 0.0).then(|| Self { ratio: (fullest - mean) / mean, connections: fullest - mean })
    }
}

/// The imbalance over the last minutes: its mean in each step of time.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// The number of the newest step since the beginning, and the steps, oldest first. In a step: the sum of the ratios
    /// and how many there were.
    newest: u64,
    steps: VecDeque<(f64, u32)>,
    begun: Option<Instant>,
}

impl History {
    /// How long a step is.
    pub(crate) const STEP: Duration = Duration::from_secs(5);
    /// How many steps are kept.
    pub(crate) const LENGTH: usize = 120;

    pub(super) fn add(&mut self, ratio: f64, now: Instant) {
        self.move_on(now);
        if let Some((sum, count)) = self.steps.back_mut() {
            *sum += ratio;
            *count += 1;
        }
    }

    /// Begins the steps that time has reached.
    fn move_on(&mut self, now: Instant) {
        let begun = *self.begun.get_or_insert(now);
        let step = now.saturating_duration_since(begun).as_secs() / Self::STEP.as_secs();
        let missing = if self.steps.is_empty() { 1 } else { step.saturating_sub(self.newest) };
        for _ in 0..missing.min(Self::LENGTH as u64) {
            if self.steps.len() == Self::LENGTH {
                self.steps.pop_front();
            }
            self.steps.push_back((0.0, 0));
        }
        self.newest = step;
    }

    /// The mean of each step, oldest first; `None` for one in which nothing was counted.
    pub(crate) fn means(&self) -> impl Iterator<Item = Option<f64>> {
        self.steps.iter().map(|(sum, count)| (*count > 0).then(|| sum / f64::from(*count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imbalance_is_how_far_the_fullest_is_above_the_mean() {
        let of = |loads: &[f64]| Imbalance::of(loads.iter().copied());
        assert_eq!(of(&[10.0, 10.0]), Some(Imbalance { ratio: 0.0, connections: 0.0 }));
        assert_eq!(of(&[15.0, 10.0, 5.0]), Some(Imbalance { ratio: 0.5, connections: 5.0 }));
        assert_eq!(of(&[0.0, 0.0]), None, "there is nothing to compare");
        assert_eq!(of(&[]), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_history_holds_the_mean_of_each_step_and_gaps_where_nobody_counted() {
        let begun = Instant::now();
        let mut history = History::default();
        history.add(0.1, begun);
        history.add(0.3, begun + Duration::from_secs(4));
        history.add(0.5, begun + Duration::from_secs(11));
        assert_eq!(history.means().collect::<Vec<_>>(), [Some(0.2), None, Some(0.5)]);
        history.add(0.7, begun + Duration::from_secs(100_000));
        assert_eq!(history.means().count(), History::LENGTH);
        assert_eq!(history.means().last(), Some(Some(0.7)));
    }
}
