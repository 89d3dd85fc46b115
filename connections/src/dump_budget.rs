//! When the whole table is read, where everything else is known by announcements.

use std::time::{Duration, Instant};

/// Decides when to read the whole table (a dump), by what dumps have cost so far.
///
/// Dumps take at most 0.45 % of a core, and less than half of that while nothing is known to be missing. Holds their mean
/// cost, the moment of the last one, and the processor time that may be spent at once.
#[derive(Clone, Debug)]
pub(crate) struct DumpBudget {
    mean_cost: Duration,
    last: Option<Instant>,
    /// Processor time that may be spent, and the moment up to which it was earned. Negative after a dump that could not
    /// wait.
    credit_seconds: f64,
    earned_until: Instant,
}

/// The need for a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Need {
    /// No connection was opened or closed since the last one.
    Idle,
    /// Connections were opened or closed, and all of them are known.
    Busy,
    /// A few connections are known to be missing, at most one in a thousand.
    FewMissing,
    /// Connections are known to be missing.
    Missing,
    /// Connections of some backends are not known at all.
    Unknown,
}

/// Part of a core that dumps may take. All counting has 0.9 %, and dumps are what other sockets of the node make dearer.
const SHARE: f64 = 0.0045;

/// Period of dumps that only correct, divided by the cost of one, and its maximum.
const PERIOD_PER_COST: u32 = 500;
const MAX_PERIOD: Duration = Duration::from_secs(10);

/// Credit that is kept at most, beyond the cost of one dump: the first connection of each of several backends may only
/// be found by a dump each.
const MAX_CREDIT: Duration = Duration::from_millis(20);

impl DumpBudget {
    pub(crate) fn new(now: Instant) -> Self {
        Self { mean_cost: Duration::ZERO, last: None, credit_seconds: MAX_CREDIT.as_secs_f64(), earned_until: now }
    }

    /// Returns `true` if a dump is due.
    pub(crate) fn is_due(&mut self, need: Need, now: Instant) -> bool {
        let routine = (self.mean_cost * PERIOD_PER_COST).min(MAX_PERIOD);
        let min_period = match need {
            Need::Unknown => return true,
            Need::Missing => Duration::from_millis(50),
            Need::FewMissing => Duration::from_secs(1),
            Need::Busy => routine.max(Duration::from_secs(1)),
            Need::Idle => routine.max(Duration::from_secs(5)),
        };
        self.earn(now);
        let is_late = self.last.is_none_or(|last| now.saturating_duration_since(last) >= min_period);
        is_late && self.credit_seconds >= self.mean_cost.as_secs_f64()
    }

    /// Takes in that a dump ended at `now`, and its cost in processor time.
    pub(crate) fn spent(&mut self, cost: Duration, now: Instant) {
        const SMOOTHING: u32 = 4;
        self.earn(now);
        self.credit_seconds = (self.credit_seconds - cost.as_secs_f64()).max(-MAX_CREDIT.as_secs_f64());
        self.mean_cost = match self.last.replace(now) {
            None => cost,
            Some(_) => (self.mean_cost * (SMOOTHING - 1) + cost) / SMOOTHING,
        };
    }

    /// Returns the mean cost of a dump.
    pub(crate) fn mean_cost(&self) -> Duration {
        self.mean_cost
    }

    fn earn(&mut self, now: Instant) {
        let earned = now.saturating_duration_since(self.earned_until).as_secs_f64() * SHARE;
        self.earned_until = now;
        let max = MAX_CREDIT.max(self.mean_cost).as_secs_f64();
        self.credit_seconds = (self.credit_seconds + earned).min(max);
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Returns how many dumps of this cost run in 100 s if one is needed this much all the time, and their cost.
    fn dumps(need: Need, cost: Duration) -> (u32, Duration) {
        let start = Instant::now();
        let mut budget = DumpBudget::new(start);
        let mut dumps = 0;
        for step in 0..10_000 {
            let now = start + step * 10 * MS;
            if budget.is_due(need, now) {
                budget.spent(cost, now);
                dumps += 1;
            }
        }
        (dumps, dumps * cost)
    }

    #[rstest]
    #[case(Need::Idle, 20)]
    #[case(Need::Busy, 100)]
    #[case(Need::FewMissing, 100)]
    #[case(Need::Missing, 2_000)]
    fn cheap_dumps_are_limited_by_need(#[case] need: Need, #[case] expected: u32) {
        assert_eq!(dumps(need, MS / 10).0, expected);
    }

    #[rstest]
    #[case(3)]
    #[case(17)]
    #[case(100)]
    fn dear_dumps_are_limited_by_their_cost(#[case] cost_ms: u32) {
        let cost = cost_ms * MS;
        let (_, spent) = dumps(Need::Missing, cost);
        assert!(spent >= 400 * MS && spent <= 470 * MS + cost, "{spent:?}");
        let (count, spent) = dumps(Need::Busy, cost);
        assert!(count >= 5 && spent <= (200 * MS).max(5 * cost) + cost, "{count} dumps, {spent:?}");
    }

    #[test]
    fn a_dump_without_which_nothing_is_known_does_not_wait() {
        let now = Instant::now();
        let mut budget = DumpBudget::new(now);
        budget.spent(100 * MS, now);
        assert!(budget.is_due(Need::Unknown, now));
        assert!(!budget.is_due(Need::Missing, now + 1_000 * MS));
        assert!(budget.is_due(Need::Missing, now + 27_000 * MS), "a debt is bounded");
    }
}
