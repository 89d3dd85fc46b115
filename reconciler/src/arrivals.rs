//! The rate at which connections arrive.

use std::time::Instant;

/// Rate at which connections open, smoothed over about a second.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    per_second: f64,
    last: Option<Instant>,
}

impl Arrivals {
    /// Time until a later push could be in force instead of one now: the next sample, and the push.
    const HORIZON_SECONDS: f64 = 0.03;

    /// Number of connections beyond which looking ahead gains nothing.
    const MAX_EXPECTED: u32 = 64;

    pub(crate) fn add(&mut self, opened: u32, now: Instant) {
        let Some(last) = self.last.replace(now) else { return };
        let seconds = now.saturating_duration_since(last).as_secs_f64();
        let kept = (-seconds).exp();
        let rate = f64::from(opened) / seconds.max(f64::MIN_POSITIVE);
        self.per_second = if seconds > 0.0 { self.per_second * kept + rate * (1.0 - kept) } else { self.per_second };
    }

    /// Returns the number of connections that are expected within the horizon, and at least the next one.
    pub(crate) fn expected(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
        let expected = (self.per_second * Self::HORIZON_SECONDS).ceil() as u32;
        expected.saturating_add(1).min(Self::MAX_EXPECTED)
    }
}
