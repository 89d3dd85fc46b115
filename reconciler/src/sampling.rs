//! The times of samples.

use std::time::{Duration, Instant};

use crate::{budget::Budget, pacing::Pacing};

/// Schedules samples: as often as their cost allows, and less often while nothing changes.
///
/// Holds the cost of the samples, the moment of the last one, and how long the counts have been unchanged.
#[derive(Debug)]
pub(crate) struct Sampling {
    budget: Budget,
    max_period: Duration,
    last: Option<Instant>,
    /// Moment from which on all samples so far are within their part of the time. Their mean cost alone would not do:
    /// samples for a cause come on top of the others, and a few that read the whole table cost many times the mean.
    paid: Option<Instant>,
    /// Cause for the next sample to come sooner, which it clears.
    cause: Option<Cause>,
    /// Number of samples in a row in which no connection opened or closed.
    idle_samples: u32,
    /// Set while connections are closed on purpose.
    expects_changes: bool,
}

/// Period between samples divided by the cost of one: samples take at most 1/110 of a core. Those without a cause take two
/// thirds of that, and leave the rest to the others.
const PERIOD_PER_SAMPLE_COST: u32 = 110;

/// Time by which samples may be ahead of their part of it, because causes for them come irregularly.
const MAX_AHEAD: Duration = Duration::from_millis(500);

/// Minimum period between samples without a cause.
pub(crate) const MIN_PERIOD: Duration = Duration::from_millis(12);

/// Minimum period between samples for which there is a cause.
const MIN_PERIOD_WITH_CAUSE: Duration = Duration::from_millis(5);

/// Minimum period between samples while connections are closed on purpose, but for the one after a push. Most of what they
/// would show sooner was ordered, and the plan in force was made for it.
pub(crate) const MIN_PERIOD_OF_EXPECTED: Duration = Duration::from_millis(100);

impl Sampling {
    pub(crate) fn new(max_period: Duration) -> Self {
        let max_period = max_period.min(Pacing::LONGEST_SAMPLE_PERIOD);
        let budget = Budget::new(PERIOD_PER_SAMPLE_COST, MIN_PERIOD_WITH_CAUSE, max_period);
        Self { budget, max_period, last: None, paid: None, cause: None, idle_samples: 0, expects_changes: false }
    }

    /// Takes in that a sample ended at `now`, and its cost in processor time.
    pub(crate) fn sampled(&mut self, activity: Activity, cost: Duration, now: Instant) {
        self.idle_samples = match activity {
            Activity::Busy => 0,
            Activity::Idle => self.idle_samples.saturating_add(1),
        };
        self.budget.spent(cost);
        // However much one sample costs, the next one comes within the maximum period.
        let max_debt = MAX_AHEAD + self.max_period;
        let costs = cost.saturating_mul(PERIOD_PER_SAMPLE_COST).min(max_debt);
        self.paid = Some((self.paid.map_or(now, |paid| paid.max(now)) + costs).min(now + max_debt));
        self.last = Some(now);
        self.cause = None;
    }

    /// Takes in that a connection ended, so that the counts are no longer true.
    pub(crate) fn heard(&mut self) {
        self.cause = self.cause.max(Some(Cause::Ended));
    }

    /// Takes in that counts elsewhere have changed: a pause because nothing changes here is over.
    pub(crate) fn wake(&mut self) {
        self.idle_samples = 0;
    }

    /// Takes in whether connections are closed on purpose now, so that most changes are expected.
    pub(crate) fn expect_changes(&mut self, are_expected: bool) {
        self.expects_changes = are_expected;
    }

    /// Takes in that another plan is in force. A sample at once tells the connections that it placed from those of the
    /// plan before.
    pub(crate) fn pushed(&mut self) {
        self.cause = self.cause.max(Some(Cause::Pushed));
    }

    /// Takes in that counting failed at `now`.
    pub(crate) fn failed(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// Returns the moment of the next sample while counting fails.
    pub(crate) fn next_attempt(&self, now: Instant) -> Instant {
        self.last.map_or(now, |last| last + self.max_period)
    }

    /// Returns the moment of the next sample. `next_push` is the earliest moment of the next push for balance.
    pub(crate) fn next(&self, next_push: Option<Instant>, now: Instant) -> Instant {
        let Some(last) = self.last else { return now };
        // While nothing changes there is nothing to see, so samples become rarer and hardly cost anything.
        let pace = (self.budget.period() * 3 / 2).max(MIN_PERIOD).min(self.max_period);
        let period = pace.saturating_mul(self.idle_samples.saturating_add(1)).min(self.max_period);
        let affordable = self.budget.period();
        let within_budget = self.paid.and_then(|paid| paid.checked_sub(MAX_AHEAD)).unwrap_or(last);
        let at = match self.cause {
            Some(Cause::Pushed) => return now.max(within_budget),
            Some(_) => last + affordable,
            None => last + period,
        };
        let min_period =
            if self.expects_changes { MIN_PERIOD_OF_EXPECTED.min(self.max_period) } else { Duration::ZERO };
        let at = at.max(within_budget).max(last + min_period);
        // A push should use fresh counts: if one may come soon, the sample waits for that moment.
        match next_push {
            Some(push) if push > at && push < at + period => push,
            _ => at,
        }
    }
}

/// Cause for a sample to come sooner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cause {
    /// A connection was heard to end.
    Ended,
    /// Another plan is in force.
    Pushed,
}

/// Activity since the sample before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Connections opened or closed.
    Busy,
    /// All counts are unchanged.
    Idle,
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    const MAX_PERIOD: Duration = Duration::from_secs(1);

    /// What happens before each sample: a cause or none, and the cost of the sample in microseconds.
    fn histories() -> impl Strategy<Value = Vec<(Option<Cause>, u64)>> {
        let causes = prop_oneof![Just(None), Just(Some(Cause::Ended)), Just(Some(Cause::Pushed))];
        // Most samples are cheap, and some read the whole table.
        vec((causes, prop_oneof![9 => 20_u64..200, 1 => 200_u64..5_000]), 200..600)
    }

    proptest! {
        #[test]
        fn samples_stay_within_their_part_of_the_time_whatever_causes_them(history in histories()) {
            let start = Instant::now();
            let mut sampling = Sampling::new(MAX_PERIOD);
            let (mut now, mut spent) = (start, Duration::ZERO);
            for (cause, cost) in history {
                sampling.cause = cause;
                let at = sampling.next(None, now).max(now);
                prop_assert!(at <= now + MAX_PERIOD, "the next sample is {:?} away", at - now);
                let share = (at - start + MAX_AHEAD) / PERIOD_PER_SAMPLE_COST;
                prop_assert!(spent <= share, "{spent:?} after {:?}", at - start);
                now = at;
                let cost = Duration::from_micros(cost);
                spent += cost;
                sampling.sampled(Activity::Busy, cost, now);
            }
        }
    }

    #[test]
    fn changes_that_are_expected_cause_no_samples_but_a_push_does() {
        let now = Instant::now();
        let mut sampling = Sampling::new(MAX_PERIOD);
        sampling.sampled(Activity::Busy, Duration::from_micros(50), now);
        let causes = [None, Some(Cause::Ended), Some(Cause::Pushed)];
        let times = |sampling: &mut Sampling| {
            causes.map(|cause| {
                sampling.cause = cause;
                sampling.next(None, now) - now
            })
        };
        let [without, ended, pushed] = times(&mut sampling);
        assert!(without < MIN_PERIOD_OF_EXPECTED && ended < without && pushed == Duration::ZERO);
        sampling.expect_changes(true);
        assert_eq!(times(&mut sampling), [MIN_PERIOD_OF_EXPECTED, MIN_PERIOD_OF_EXPECTED, Duration::ZERO]);
    }

    #[test]
    fn a_sample_that_costs_an_age_does_not_end_counting() {
        let now = Instant::now();
        let mut sampling = Sampling::new(MAX_PERIOD);
        sampling.sampled(Activity::Busy, Duration::MAX, now);
        assert!(sampling.next(None, now) <= now + MAX_PERIOD);
    }
}
