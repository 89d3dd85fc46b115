//! The pushes of the last minute, in numbers.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::words::PushReason;

/// Counts the pushes of the last minute: those for the balance, and all others.
#[derive(Clone, Debug, Default)]
pub(crate) struct PushRate {
    /// Steps with a push, oldest first: their beginning, and the pushes in each.
    steps: VecDeque<(Instant, PushCounts)>,
}

/// Number of pushes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PushCounts {
    /// Pushes that follow the numbers of connections.
    pub(crate) balance: u32,
    /// Pushes for another reason: backends have changed, or a configuration was lost.
    pub(crate) other: u32,
}

impl PushRate {
    const STEP: Duration = Duration::from_secs(5);
    const PERIOD: Duration = Duration::from_secs(60);

    pub(super) fn add(&mut self, reason: PushReason, now: Instant) {
        self.steps.retain(|(begun, _)| now.saturating_duration_since(*begun) < Self::PERIOD);
        if self.steps.back().is_none_or(|(begun, _)| now.saturating_duration_since(*begun) >= Self::STEP) {
            self.steps.push_back((now, PushCounts::default()));
        }
        let Some((_, counts)) = self.steps.back_mut() else { return };
        match reason {
            PushReason::Freshness | PushReason::Balance | PushReason::Counting => counts.balance += 1,
            _ => counts.other += 1,
        }
    }

    /// Returns the number of pushes in the last minute, to some seconds.
    pub(crate) fn last_minute(&self, now: Instant) -> PushCounts {
        let recent = self.steps.iter().filter(|(begun, _)| now.saturating_duration_since(*begun) < Self::PERIOD);
        recent.fold(PushCounts::default(), |sum, (_, counts)| PushCounts {
            balance: sum.balance + counts.balance,
            other: sum.other + counts.other,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pushes_are_counted_for_a_minute() {
        let (mut rate, begun) = (PushRate::default(), Instant::now());
        for second in 0..120 {
            let now = begun + Duration::from_secs(second);
            rate.add(PushReason::Balance, now);
            rate.add(if second == 100 { PushReason::Drain } else { PushReason::Freshness }, now);
        }
        let counts = rate.last_minute(begun + Duration::from_secs(120));
        assert!(counts.other == 1 && (100..=120).contains(&counts.balance), "{counts:?}");
        assert!(rate.steps.len() <= 13);
        assert_eq!(rate.last_minute(begun + Duration::from_secs(200)), PushCounts::default());
    }
}
