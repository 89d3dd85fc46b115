//! How closely connections are looked at: more closely while few of them may be closed.

use std::time::{Duration, Instant};

/// Knows how hard it is to find connections that are answered and quiet.
///
/// What a description shows is true for fractions of a second where clients are busy, and servers that answer within a tick
/// of the kernel's clock only show it by chance. So while a closing that is due fails for that reason, there are more
/// descriptions, and another connection takes the place of one that has become busy.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Search {
    /// Moment of the last closing that was due and failed for that reason.
    failed: Option<Instant>,
    /// Moment of the first one since the last success.
    in_vain_since: Option<Instant>,
    /// Orders in a row whose connections were busy at the second look.
    busy: u32,
}

/// Minimum and maximum time between two descriptions, and what it is for each connection. A description costs the proxy's
/// node 1 to 2 µs for each, so it is made for at most 0.1 % of a core. What it shows of a busy client is over before the next
/// one in any case, and of a quiet one it is true for long.
const MIN_PERIOD: Duration = Duration::from_secs(1);
const MAX_PERIOD: Duration = Duration::from_secs(12);
const PERIOD_PER_CONNECTION: Duration = Duration::from_millis(2);

/// Minimum and maximum time between two descriptions while connections are hard to find, and what it is for each connection.
const MIN_HARD_PERIOD: Duration = Duration::from_millis(100);
const MAX_HARD_PERIOD: Duration = Duration::from_secs(1);
const HARD_PERIOD_PER_CONNECTION: Duration = Duration::from_micros(125);

/// Orders in a row whose connections were busy at the second look, from which on connections are hard to find.
const HARD_FROM: u32 = 3;

/// Time after such a failure for which connections are taken to be hard to find.
const HARD_FOR: Duration = Duration::from_secs(2);

/// Time without success from which on there are no more descriptions than otherwise. Where clients only ask and wait, none may
/// be closed for hours.
const PATIENCE: Duration = Duration::from_secs(60);

/// Connections that are tried in one turn.
const MAX_TRIES: u32 = 5;

impl Search {
    /// Takes in that a closing was due and no connection was known that may be closed.
    pub(crate) fn found_none(&mut self, now: Instant) {
        self.failed = Some(now);
        self.in_vain_since.get_or_insert(now);
    }

    /// Takes in that a connection was busy at the second look. Returns `true` if another one may be tried in its turn.
    pub(crate) fn was_busy(&mut self, now: Instant) -> bool {
        self.busy += 1;
        if self.busy >= HARD_FROM {
            self.found_none(now);
        }
        self.busy %= MAX_TRIES;
        self.busy > 0
    }

    /// Takes in that a connection was closed.
    pub(crate) fn closed(&mut self) {
        *self = Self { failed: self.failed, ..Self::default() };
    }

    /// Returns the time between two descriptions of this many connections.
    pub(crate) fn period(&self, connections: u64, now: Instant) -> Duration {
        let connections = u32::try_from(connections).unwrap_or(u32::MAX);
        if self.is_hard(now) {
            HARD_PERIOD_PER_CONNECTION.saturating_mul(connections).clamp(MIN_HARD_PERIOD, MAX_HARD_PERIOD)
        } else {
            PERIOD_PER_CONNECTION.saturating_mul(connections).clamp(MIN_PERIOD, MAX_PERIOD)
        }
    }

    fn is_hard(&self, now: Instant) -> bool {
        let is_within = |time, since: Instant| now.saturating_duration_since(since) < time;
        self.failed.is_some_and(|failed| is_within(HARD_FOR, failed))
            && self.in_vain_since.is_none_or(|since| is_within(PATIENCE, since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn periods(search: &Search, now: Instant) -> [u128; 5] {
        [0, 400, 2_000, 8_000, u64::MAX].map(|connections| search.period(connections, now).as_millis())
    }

    const EASY: [u128; 5] = [1_000, 1_000, 4_000, 12_000, 12_000];

    #[test]
    fn connections_are_looked_at_more_often_while_they_are_hard_to_find_and_few() {
        let (mut search, now) = (Search::default(), Instant::now());
        assert_eq!(periods(&search, now), EASY);
        search.found_none(now);
        let hard = [100, 100, 250, 1_000, 1_000];
        assert_eq!(periods(&search, now), hard);
        search.closed();
        assert_eq!(periods(&search, now), hard, "the next one may be as hard to find");
        assert_eq!(periods(&search, now + HARD_FOR), EASY);
    }

    #[test]
    fn a_single_busy_connection_is_no_reason_to_look_more_often() {
        let (mut search, now) = (Search::default(), Instant::now());
        for _ in 1..HARD_FROM {
            assert!(search.was_busy(now));
            assert_eq!(periods(&search, now), EASY);
        }
        search.was_busy(now);
        assert_ne!(periods(&search, now), EASY);
    }

    #[test]
    fn a_search_without_success_does_not_go_on() {
        let (mut search, now) = (Search::default(), Instant::now());
        search.found_none(now);
        let later = now + PATIENCE;
        search.found_none(later);
        assert_eq!(periods(&search, later), EASY);
    }

    #[test]
    fn a_turn_ends_after_some_tries() {
        let (mut search, now) = (Search::default(), Instant::now());
        let tries: Vec<bool> = (0..2 * MAX_TRIES).map(|_| search.was_busy(now)).collect();
        assert_eq!(tries.iter().filter(|again| !**again).count(), 2);
        assert!(!tries[4] && !tries[9]);
        search.was_busy(now);
        search.closed();
        assert!((1..MAX_TRIES).all(|_| search.was_busy(now)), "each turn has as many");
    }
}
