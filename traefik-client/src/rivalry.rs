//! Rivals: other clients that keep replacing the configuration of one Traefik.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Distinguishes a configuration that was replaced once, which is repaired at once, from a rival: another client that
/// replaces it again and again.
///
/// Two clients that repaired at once would write as fast as they notice each other, and clients of Traefik would be sent
/// to the backends of the one and of the other in turn. So each repetition is repaired after a longer pause, up to
/// [`LONGEST_PAUSE`](Self::LONGEST_PAUSE), with jitter that keeps two clients from pausing in step.
///
/// It has no clock and performs no I/O: the caller passes `now`, and waits.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use ilb_traefik_client::rivalry::Rivalry;
///
/// let (mut rivalry, now) = (Rivalry::new(), Instant::now());
/// assert_eq!(rivalry.replaced(now), None);
/// assert!(!rivalry.has_rival(now));
/// assert!(rivalry.replaced(now + Duration::from_secs(1)).is_some());
/// assert!(rivalry.has_rival(now + Duration::from_secs(1)));
/// ```
#[derive(Debug)]
pub struct Rivalry {
    /// Number of replacements without a calm period between them.
    times: u32,
    /// End of the calm period after which the replacements are forgotten.
    forgotten_at: Option<Instant>,
    pauses: ExponentialBackoff,
}

impl Rivalry {
    /// Pause after the second replacement, before jitter; each further one doubles it.
    pub const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

    /// Maximum pause before jitter, which adds up to as much again.
    pub const LONGEST_PAUSE: Duration = Duration::from_secs(15);

    /// Time without a replacement after which there is no rival any more. It is longer than a rival that pauses in the
    /// same way pauses, and needs to notice the replacement.
    pub const CALM_PERIOD: Duration = Duration::from_secs(45);

    /// Creates the state of a client without a rival.
    pub fn new() -> Self {
        Self { times: 0, forgotten_at: None, pauses: pauses() }
    }

    /// Records that another configuration was found in force at `now`. Returns the moment before which the own one should
    /// not be sent again, or `None` if it may be sent at once.
    pub fn replaced(&mut self, now: Instant) -> Option<Instant> {
        if self.forgotten_at.is_some_and(|at| at <= now) {
            *self = Self::new();
        }
        self.times = self.times.saturating_add(1);
        // The sequence has no end; if it had one, the longest pause would be right.
        let pause = (self.times > 1).then(|| self.pauses.next().unwrap_or(Self::LONGEST_PAUSE));
        let again_at = now + pause.unwrap_or_default();
        self.forgotten_at = Some(again_at + Self::CALM_PERIOD);
        pause.map(|_| again_at)
    }

    /// Returns whether there is a rival at `now`.
    pub fn has_rival(&self, now: Instant) -> bool {
        self.times > 1 && self.forgotten_at.is_some_and(|at| at > now)
    }
}

impl Default for Rivalry {
    fn default() -> Self {
        Self::new()
    }
}

fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Rivalry::SHORTEST_PAUSE)
        .with_max_delay(Rivalry::LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_single_replacement_is_repaired_at_once_however_often_there_is_one() {
        let (mut rivalry, mut now) = (Rivalry::new(), Instant::now());
        for _ in 0..10 {
            assert_eq!(rivalry.replaced(now), None);
            assert!(!rivalry.has_rival(now));
            now += Rivalry::CALM_PERIOD;
        }
    }

    #[test]
    fn repetitions_are_repaired_after_growing_pauses_with_jitter() {
        let (mut rivalry, mut now) = (Rivalry::new(), Instant::now());
        rivalry.replaced(now);
        for base in [1, 2, 4, 8, 15, 15].map(|seconds| SECOND * seconds) {
            let pause = rivalry.replaced(now).unwrap() - now;
            assert!(pause >= base && pause <= 2 * base, "{pause:?}");
            now += pause + SECOND;
            assert!(rivalry.has_rival(now));
        }
    }

    #[test]
    fn two_clients_that_pause_alike_never_forget_each_other_and_write_seldom() {
        const NOTICED_AFTER: Duration = Duration::from_millis(500);
        let start = Instant::now();
        let (mut now, mut writes) = (start, 0_u32);
        let mut clients = [Rivalry::new(), Rivalry::new()];
        while now - start < Duration::from_secs(600) {
            for client in &mut clients {
                // The other one has written at `now`.
                let noticed = now + NOTICED_AFTER;
                now = client.replaced(noticed).unwrap_or(noticed);
                writes += 1;
            }
            assert!(writes < 4 || clients.iter().all(|client| client.has_rival(now)));
        }
        assert!(writes < 60, "{writes} writes in ten minutes");
    }

    #[test]
    fn a_rival_is_gone_after_a_calm_period() {
        let (mut rivalry, now) = (Rivalry::new(), Instant::now());
        rivalry.replaced(now);
        let again_at = rivalry.replaced(now).unwrap();
        let over = again_at + Rivalry::CALM_PERIOD;
        assert!(rivalry.has_rival(again_at) && !rivalry.has_rival(over));
        assert_eq!(rivalry.replaced(over), None);
    }
}
