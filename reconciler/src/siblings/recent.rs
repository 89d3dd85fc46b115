//! Connections that opened recently, from which the shares of the replicas are reckoned.

use std::time::{Duration, Instant};

/// Number of connections that opened recently, of which each counts less the longer ago it was.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    connections: f64,
    last: Option<Instant>,
}

/// Time after which a connection counts for 1/e.
const RECENT: Duration = Duration::from_secs(30);

/// Number of connections above which nobody is believed: about 30 million a second.
const MAX_RECENT: f64 = 1e9;

impl Recent {
    /// Takes in how many connections have opened since the last call, evenly over that time. What came before the first
    /// call is unknown.
    pub(super) fn add(&mut self, opened: u64, now: Instant) {
        let Some(last) = self.last.replace(now) else { return };
        let ages = now.saturating_duration_since(last).as_secs_f64() / RECENT.as_secs_f64();
        let kept = (-ages).exp();
        // The mean of exp(-age) over that time.
        let weight = if ages > 0.0 { (1.0 - kept) / ages } else { 1.0 };
        #[expect(clippy::cast_precision_loss, reason = "numbers that large are cut")]
        let opened = opened as f64;
        self.connections = (self.connections * kept + opened * weight).min(MAX_RECENT);
    }

    pub(super) fn connections(&self) -> f64 {
        self.connections
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_gives_the_connections_of_30_s_however_often_they_are_counted() {
        for every in [Duration::from_millis(20), Duration::from_secs(1), Duration::from_secs(20)] {
            let (mut now, mut recent) = (Instant::now(), Recent::default());
            let per_step = u64::try_from(50 * every.as_millis() / 1_000).unwrap();
            recent.add(1_000_000, now);
            assert!(recent.connections() <= 0.0, "what came before is unknown");
            let start = now;
            while now < start + Duration::from_secs(300) {
                now += every;
                recent.add(per_step, now);
            }
            assert!((recent.connections() - 1_500.0).abs() < 1.0, "{} every {every:?}", recent.connections());
        }
    }
}
