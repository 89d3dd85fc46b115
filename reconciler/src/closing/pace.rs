//! Spreads closings over time.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Spreads closings over time, and bounds how many there are in any second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    /// The closings of the last second, oldest first.
    recent: VecDeque<Instant>,
    next: Option<Instant>,
}

const SECOND: Duration = Duration::from_secs(1);

/// Time that a caller may be late without slowing down.
const CATCH_UP: Duration = Duration::from_millis(100);

impl Pace {
    /// Begins another pace. The bound of a second holds on.
    pub(crate) fn restart(&mut self) {
        self.next = None;
    }

    /// Returns `true` if one more may be closed now, of at most this many in any second.
    pub(crate) fn is_due(&self, max_per_second: u32, now: Instant) -> bool {
        self.next.is_none_or(|next| next <= now) && self.in_last_second(now).count() < as_count(max_per_second)
    }

    /// Takes in that one is closed now, and that the next one follows after this time.
    pub(crate) fn took(&mut self, interval: Duration, now: Instant) {
        let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
        self.next = Some(self.next.map_or(now, |next| next.max(earliest)) + interval);
        while self.recent.front().is_some_and(|at| now.saturating_duration_since(*at) >= SECOND) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
    }

    /// Returns the moment at which the next one is due.
    pub(crate) fn next(&self, max_per_second: u32, now: Instant) -> Instant {
        let next = self.next.map_or(now, |next| next.max(now));
        let recent: Vec<_> = self.in_last_second(now).collect();
        match recent.len().checked_sub(as_count(max_per_second)) {
            Some(over) => recent.get(over).map_or(next, |at| next.max(*at + SECOND)),
            None => next,
        }
    }

    fn in_last_second(&self, now: Instant) -> impl Iterator<Item = Instant> + '_ {
        self.recent.iter().copied().filter(move |at| now.saturating_duration_since(*at) < SECOND)
    }
}

fn as_count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_late_caller_catches_up_a_little() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        pace.took(10 * MS, start);
        let late = start + 900 * MS;
        let mut taken = 0;
        while pace.is_due(1_000, late) {
            pace.took(10 * MS, late);
            taken += 1;
        }
        assert_eq!(taken, 11, "those of the last 100 ms");
    }

    #[test]
    fn the_next_one_is_due_when_it_says() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        for _ in 0..3 {
            assert!(pace.is_due(3, start));
            pace.took(Duration::ZERO, start);
        }
        assert!(!pace.is_due(3, start));
        assert_eq!(pace.next(3, start), start + SECOND);
        assert!(pace.is_due(3, start + SECOND));
    }

    proptest! {
        #[test]
        fn no_second_has_more_than_allowed(
            max in 1..20u32, interval in 0..300u64, pauses in prop::collection::vec(0..400u64, 1..300),
        ) {
            let (mut pace, mut now, mut taken) = (Pace::default(), Instant::now(), Vec::new());
            for pause in pauses {
                now += Duration::from_millis(pause);
                while pace.is_due(max, now) {
                    pace.took(Duration::from_millis(interval), now);
                    taken.push(now);
                }
                prop_assert!(!pace.is_due(max, now) && pace.next(max, now) > now);
            }
            for from in &taken {
                let within = taken.iter().filter(|at| **at >= *from && **at - *from < SECOND).count();
                prop_assert!(within <= max as usize);
            }
        }
    }
}
