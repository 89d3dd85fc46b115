//! Bounds how fast connections are closed.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::closer::{Limits, Refusal};

/// Bounds the closings in a second and in an hour.
#[derive(Debug)]
pub(crate) struct Rate {
    /// Time that each closing has to itself.
    interval: Duration,
    /// Moment at which the bucket of tokens is full. It holds the tokens of one second.
    full_at: Option<Instant>,
    max_per_hour: usize,
    /// The closings of the last hour, oldest first.
    closed: VecDeque<Instant>,
}

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

impl Rate {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            interval: SECOND / limits.max_rate().get(),
            full_at: None,
            max_per_hour: usize::try_from(limits.max_per_hour().get()).unwrap_or(usize::MAX),
            closed: VecDeque::new(),
        }
    }

    /// Takes in a closing now, unless that were too many.
    pub(crate) fn take(&mut self, now: Instant) -> Result<(), Refusal> {
        let full_at = self.full_at.map_or(now, |full_at| full_at.max(now)) + self.interval;
        if full_at.saturating_duration_since(now) > SECOND {
            return Err(Refusal::TooFast);
        }
        while self.closed.front().is_some_and(|closed| now.saturating_duration_since(*closed) >= HOUR) {
            self.closed.pop_front();
        }
        if self.closed.len() >= self.max_per_hour {
            return Err(Refusal::TooMany);
        }
        self.closed.push_back(now);
        self.full_at = Some(full_at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use proptest::prelude::*;

    use super::*;

    fn rate(per_second: u32, per_hour: u32) -> Rate {
        let limits = Limits::new(["10.0.0.0/8".parse().unwrap()], [1], [1]).unwrap();
        let number = |number| NonZeroU32::new(number).unwrap();
        Rate::new(&limits.with_max_rate(number(per_second)).with_max_per_hour(number(per_hour)))
    }

    #[test]
    fn as_many_as_in_a_second_may_come_at_once_and_then_one_at_a_time() {
        let (mut rate, start) = (rate(10, 1_000), Instant::now());
        let at_once = (0..100).filter(|_| rate.take(start).is_ok()).count();
        assert_eq!(at_once, 10);
        assert_eq!(rate.take(start + SECOND / 20), Err(Refusal::TooFast));
        assert_eq!(rate.take(start + SECOND / 10), Ok(()));
        assert_eq!(rate.take(start + SECOND / 10), Err(Refusal::TooFast));
    }

    #[test]
    fn the_closings_of_an_hour_are_bounded() {
        let (mut rate, start) = (rate(10, 5), Instant::now());
        let closed = (0..100).filter(|minute| rate.take(start + 60 * SECOND * *minute).is_ok()).count();
        assert_eq!(closed, 10, "5 in each of two hours");
        assert_eq!(rate.take(start + 100 * 60 * SECOND), Err(Refusal::TooMany));
    }

    proptest! {
        #[test]
        fn no_window_has_more_than_its_bounds(
            per_second in 1..50u32, per_hour in 1..100u32, pauses in prop::collection::vec(0..2_000u64, 1..400),
        ) {
            let (mut rate, mut now, mut closed) = (rate(per_second, per_hour), Instant::now(), Vec::new());
            for pause in pauses {
                now += Duration::from_millis(pause);
                if rate.take(now).is_ok() {
                    closed.push(now);
                }
            }
            let in_window = |from: Instant, window| closed.iter().filter(|at| **at >= from && **at - from < window).count();
            for from in &closed {
                prop_assert!(in_window(*from, SECOND) <= 2 * per_second as usize, "a full bucket, and what flows in");
                prop_assert!(in_window(*from, HOUR) <= per_hour as usize);
            }
        }
    }
}
