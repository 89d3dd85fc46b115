//! Summaries of occurrences that repeat.

use std::time::Duration;

use tokio::time::Instant;

/// Counts how often something is repeated, so that it is logged once a minute and not each time.
#[derive(Debug)]
pub(crate) struct Repeats {
    /// Kind of the occurrence.
    pub(crate) kind: &'static str,
    times: u64,
    since: Instant,
}

/// Repetitions since the last summary.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) times: u64,
    /// Time in which they happened.
    pub(crate) seconds: u64,
}

impl Repeats {
    /// Time from one summary to the next.
    const SUMMARY_INTERVAL: Duration = Duration::from_secs(60);

    /// Starts counting after the first occurrence, which the caller has already logged.
    pub(crate) fn new(kind: &'static str, now: Instant) -> Self {
        Self { kind, times: 0, since: now }
    }

    /// Counts a repetition. Returns a summary when one is due.
    pub(crate) fn add(&mut self, now: Instant) -> Option<Summary> {
        self.times += 1;
        let passed = now.saturating_duration_since(self.since);
        (passed >= Self::SUMMARY_INTERVAL).then(|| {
            self.since = now;
            Summary { times: std::mem::take(&mut self.times), seconds: passed.as_secs() }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn repetitions_are_summed_up_once_a_minute() {
        let mut repeats = Repeats::new("unreachable", Instant::now());
        let mut summaries = Vec::new();
        for _ in 0..240 {
            tokio::time::advance(Duration::from_millis(500)).await;
            summaries.extend(repeats.add(Instant::now()));
        }
        assert_eq!(summaries, [Summary { times: 120, seconds: 60 }, Summary { times: 120, seconds: 60 }]);
    }
}
