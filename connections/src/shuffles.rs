//! When the kernel shuffles the local ports of the next connections.

use std::time::{Duration, Instant};

/// Moments at which the kernel begins to give local ports elsewhere in the range.
///
/// Linux does so every 10 s since 5.18, for all remote addresses at once (`EPHEMERAL_PORT_SHUFFLE_PERIOD`). When that is
/// follows from the ports that are seen. Holds a time at which it happened, as exactly as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shuffles {
    known: Option<Window>,
}

/// A time in which a shuffle happened.
#[derive(Clone, Copy, Debug)]
struct Window {
    after: Instant,
    until: Instant,
}

const PERIOD: Duration = Duration::from_secs(10);

impl Shuffles {
    /// Takes in that ports were given elsewhere at `until`, and not yet at `after`.
    pub(crate) fn happened(&mut self, after: Instant, until: Instant) {
        let seen = Window { after, until };
        if until.saturating_duration_since(after) >= PERIOD {
            return; // which says nothing
        }
        let Some(known) = self.known.map(|known| known.moved_near(seen.until)) else {
            self.known = Some(seen);
            return;
        };
        let earlier = known.earlier().and_then(|earlier| earlier.intersect(seen));
        self.known = Some(match (earlier, known.intersect(seen)) {
            (Some(same), None) | (None, Some(same)) => same,
            (Some(_), Some(_)) => known, // It may be either one.
            (None, None) => seen,
        });
    }

    /// Returns `true` if the ports were certainly shuffled between `since` and `now`.
    pub(crate) fn happened_since(&self, since: Instant, now: Instant) -> bool {
        let last = self.known.map(|known| known.moved_near(now));
        let last = last.and_then(|last| if last.until <= now { Some(last) } else { last.earlier() });
        last.is_some_and(|last| last.until <= now && last.after >= since)
    }
}

impl Window {
    /// Returns the last such time that begins before `moment`.
    fn moved_near(self, moment: Instant) -> Self {
        let later = moment.saturating_duration_since(self.after).as_nanos() / PERIOD.as_nanos();
        let later = PERIOD * u32::try_from(later).unwrap_or(u32::MAX);
        Self { after: self.after + later, until: self.until + later }
    }

    fn earlier(self) -> Option<Self> {
        Some(Self { after: self.after.checked_sub(PERIOD)?, until: self.until.checked_sub(PERIOD)? })
    }

    fn intersect(self, other: Self) -> Option<Self> {
        let (after, until) = (self.after.max(other.after), self.until.min(other.until));
        (after < until).then_some(Self { after, until })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_is_known_before_the_first_shuffle() {
        let now = Instant::now();
        assert!(!Shuffles::default().happened_since(now, now + 10 * PERIOD));
    }

    #[test]
    fn a_shuffle_comes_again_every_10_seconds() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut shuffles = Shuffles::default();
        shuffles.happened(at(100), at(104));
        assert!(!shuffles.happened_since(at(105), at(113)));
        assert!(shuffles.happened_since(at(109), at(114)));
        assert!(!shuffles.happened_since(at(111), at(115)), "it may have happened before");
        shuffles.happened(at(122), at(127));
        assert!(shuffles.happened_since(at(131), at(134)));
        assert!(!shuffles.happened_since(at(131), at(133)));
    }

    proptest! {
        /// Whatever is observed of shuffles at 3 s, 13 s, 23 s, …: none is claimed that did not happen.
        #[test]
        fn no_shuffle_is_invented(
            observations in proptest::collection::vec((0..9_000u64, 0..9_000u64), 1..30),
            question in (0..20_000u64, 0..20_000u64),
        ) {
            let start = Instant::now() + Duration::from_secs(100);
            let millis = |millis: u64| start + Duration::from_millis(millis);
            let mut shuffles = Shuffles::default();
            for (number, (before, after)) in (1u64..).zip(observations) {
                let shuffle = 3_000 + 10_000 * number;
                shuffles.happened(millis(shuffle - before - 1), millis(shuffle + after));
                let (since, lasting) = question;
                let since = 10_000 * number + since;
                let until = since + lasting;
                if shuffles.happened_since(millis(since), millis(until)) {
                    prop_assert!((since..=until).any(|moment| moment % 10_000 == 3_000));
                }
            }
        }
    }
}
