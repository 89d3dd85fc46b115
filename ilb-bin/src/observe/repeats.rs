use std::time::Duration;

use tokio::time::Instant;

/// Sums up what happens again and again, so that a log says it once a minute instead of each time.
#[derive(Debug)]
pub(crate) struct Repeats {
    /// What happens.
    pub(crate) of: &'static str,
    times: u64,
    since: Instant,
}

impl Repeats {
    /// How long is summed up in one line.
    const PERIOD: Duration = Duration::from_secs(60);

    /// It has happened once, and that was told.
    pub(crate) fn new(of: &'static str, now: Instant) -> Self {
        Self { of, times: 0, since: now }
    }

    /// It has happened again. When it is time for a line: how often since the last one, in how many seconds.
    pub(crate) fn again(&mut self, now: Instant) -> Option<(u64, u64)> {
        self.times += 1;
        let passed = now.saturating_duration_since(self.since);
        (passed >= Self::PERIOD).then(|| {
            self.since = now;
            (std::mem::take(&mut self.times), passed.as_secs())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_repeated_is_summed_up_once_a_minute() {
        let mut repeats = Repeats::new("unreachable", Instant::now());
        let mut lines = Vec::new();
        for _ in 0..240 {
            tokio::time::advance(Duration::from_millis(500)).await;
            lines.extend(repeats.again(Instant::now()));
        }
        assert_eq!(lines, [(120, 60), (120, 60)]);
    }
}
