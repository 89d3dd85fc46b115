//! Spreads closings over time.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Spreads closings over time, and bounds how many there are in any second.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    /// The closings of the last second, oldest first, each with the time until the next one.
    recent: VecDeque<(Instant, Duration)>,
    next: Option<Instant>,
    /// Moment of the last closing, and the one before which only others of that moment follow.
    gathering: Option<(Instant, Instant)>,
}

const SECOND: Duration = Duration::from_secs(1);

/// Number of closings that are gathered, and the longest time for which they are: what a closing makes a process do besides, a
/// sample, decisions, the way to the closer, is then done for several of them. With 8 000 connections and 50 closings a second,
/// groups of ten take 1.8 % of a core, and groups of five 2.2.
const GATHERED: u32 = 10;
const GATHERED_FOR: Duration = Duration::from_millis(200);

/// Time between two closings from which on they are not gathered.
const SINGLE_FROM: Duration = Duration::from_millis(100);

/// Time that a caller may be late without slowing down.
const CATCH_UP: Duration = Duration::from_millis(300);

impl Pace {
    /// Begins another pace. The bound of a second holds on.
    pub(crate) fn restart(&mut self) {
        (self.next, self.gathering) = (None, None);
    }

    /// Returns `true` if one more may be closed now, of at most this many in any second.
    pub(crate) fn is_due(&self, max_per_second: u32, now: Instant) -> bool {
        let is_gathered = self.gathering.is_none_or(|(last, until)| last == now || until <= now);
        let is_next = self.next.is_none_or(|next| next <= now) && is_gathered;
        is_next && self.in_last_second(now).count() < as_count(max_per_second)
    }

    /// Takes in that one is closed now, and that the next one follows after this time.
    pub(crate) fn took(&mut self, interval: Duration, now: Instant) {
        let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
        self.next = Some(self.next.map_or(now, |next| next.max(earliest)) + interval);
        let gathered_for = GATHERED_FOR.min(interval.saturating_mul(GATHERED));
        self.gathering = (interval < SINGLE_FROM).then(|| (now, now + gathered_for));
        while self.recent.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= SECOND) {
            self.recent.pop_front();
        }
        self.recent.push_back((now, interval));
    }

    /// Takes in that the one that was to be closed at this moment was not, so that its turn is still to come.
    pub(crate) fn gave_back(&mut self, at: Instant) {
        let Some(index) = self.recent.iter().rposition(|(taken, _)| *taken == at) else { return };
        if let Some((_, interval)) = self.recent.remove(index) {
            self.next = self.next.and_then(|next| next.checked_sub(interval));
            self.gathering = None;
        }
    }

    /// Returns the moment at which the next one is due.
    pub(crate) fn next(&self, max_per_second: u32, now: Instant) -> Instant {
        let next = self.next.map_or(now, |next| next.max(now));
        let next = match self.gathering {
            Some((last, until)) if last < now || next > now => next.max(until),
            _ => next,
        };
        let recent: Vec<_> = self.in_last_second(now).collect();
        match recent.len().checked_sub(as_count(max_per_second)) {
            Some(over) => recent.get(over).map_or(next, |at| next.max(*at + SECOND)),
            None => next,
        }
    }

    fn in_last_second(&self, now: Instant) -> impl Iterator<Item = Instant> + '_ {
        self.recent.iter().map(|(at, _)| *at).filter(move |at| now.saturating_duration_since(*at) < SECOND)
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
        assert_eq!(taken, 31, "those of the last 300 ms");
    }

    #[test]
    fn up_to_ten_are_closed_together_and_as_many_in_a_second() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let (mut now, mut groups) = (start, Vec::new());
        while now < start + SECOND {
            let mut taken = 0;
            while pace.is_due(1_000, now) {
                pace.took(20 * MS, now);
                taken += 1;
            }
            groups.push(taken);
            let next = pace.next(1_000, now);
            assert!(next >= now + GATHERED_FOR && !pace.is_due(1_000, now + MS));
            now = next;
        }
        assert_eq!(groups, [1, 10, 10, 10, 10]);
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

    #[test]
    fn a_turn_that_is_given_back_comes_again_and_delays_none() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        pace.took(100 * MS, start);
        let at = start + 100 * MS;
        pace.took(100 * MS, at);
        assert!(!pace.is_due(10, at + MS));
        pace.gave_back(at);
        assert!(pace.is_due(10, at + MS));
        pace.took(100 * MS, at + MS);
        assert_eq!(pace.next(10, at + MS), start + 200 * MS);
    }

    proptest! {
        #[test]
        fn no_second_has_more_than_allowed(
            max in 1..20u32, interval in 0..300u64,
            pauses in prop::collection::vec((0..400u64, prop::bool::weighted(0.3)), 1..300),
        ) {
            let (mut pace, mut now, mut taken) = (Pace::default(), Instant::now(), Vec::new());
            for (pause, gives_back) in pauses {
                now += Duration::from_millis(pause);
                if let Some(at) = taken.pop_if(|_| gives_back) {
                    pace.gave_back(at);
                }
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
