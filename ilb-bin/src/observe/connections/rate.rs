//! The choice of the connections that are logged while more end than may be logged.

use std::time::{Duration, Instant};

/// Lets through a number of lines each second, spread over the second: of a second's connections each has about the same
/// chance, whether it ends early or late in it.
///
/// It lets every line through as long as the second before had no more than allowed. Else it lets through one of as many as
/// that second exceeded the limit by, and never more than the limit.
#[derive(Debug)]
pub(super) struct SampledRate {
    max: u64,
    second: Instant,
    /// Lines that were offered, and let through, in this second.
    offered: u64,
    passed: u64,
    /// Number of lines of which one is let through.
    one_of: u64,
    /// Lines that were left out since the last one that was let through.
    left_out: u64,
}

const SECOND: Duration = Duration::from_secs(1);

impl SampledRate {
    /// Creates a limit of `max` lines a second.
    pub(super) fn new(max: u64, now: Instant) -> Self {
        Self { max: max.max(1), second: now, offered: 0, passed: 0, one_of: 1, left_out: 0 }
    }

    /// Returns the number of lines left out since the last one if this one may be logged; `None` if not.
    pub(super) fn offer(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.second);
        if passed >= SECOND {
            // After a second without any line, nothing is known of the rate.
            let offered = if passed < 2 * SECOND { self.offered } else { 0 };
            self.one_of = offered.div_ceil(self.max).max(1);
            (self.second, self.offered, self.passed) = (now, 0, 0);
        }
        let is_chosen = self.offered.is_multiple_of(self.one_of) && self.passed < self.max;
        self.offered += 1;
        if !is_chosen {
            self.left_out += 1;
            return None;
        }
        self.passed += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offers these many lines in each of some seconds, and returns those that were let through, as the second and the place
    /// in it, with the number of lines that were left out before.
    fn offer(max: u64, seconds: &[u64]) -> Vec<(u64, u64, u64)> {
        let begin = Instant::now();
        let mut rate = SampledRate::new(max, begin);
        let mut passed = Vec::new();
        for (second, lines) in (0_u64..).zip(seconds) {
            for line in 0..*lines {
                let now = begin
                    + SECOND * u32::try_from(second).unwrap()
                    + SECOND * u32::try_from(line).unwrap() / u32::try_from(*lines).unwrap();
                passed.extend(rate.offer(now).map(|left_out| (second, line, left_out)));
            }
        }
        passed
    }

    #[test]
    fn everything_is_logged_up_to_the_limit() {
        assert_eq!(offer(10, &[10, 3, 10]).len(), 23);
        assert!(offer(10, &[10, 3, 10]).iter().all(|(_, _, left_out)| *left_out == 0));
    }

    #[test]
    fn more_is_sampled_over_the_whole_second_and_what_is_left_out_is_counted() {
        let passed = offer(10, &[1_000, 1_000, 1]);
        let second: Vec<_> = passed.iter().filter(|(second, ..)| *second == 1).map(|(_, line, _)| *line).collect();
        assert_eq!(second, (0..10).map(|n| n * 100).collect::<Vec<_>>());
        let left_out: u64 = passed.iter().map(|(_, _, left_out)| left_out).sum();
        assert_eq!(u64::try_from(passed.len()).unwrap() + left_out, 2_001);
        assert_eq!(passed.iter().filter(|(second, ..)| *second == 0).count(), 10, "also before the rate is known");
    }

    #[test]
    fn after_a_pause_everything_is_logged_again() {
        assert_eq!(offer(10, &[1_000, 0, 0, 5]).iter().filter(|(second, ..)| *second == 3).count(), 5);
    }
}
