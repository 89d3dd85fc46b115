//! Ages, and numbers, durations and counts as text for people.
//!
//! The script of the status page formats numbers too: it draws ages that grow between two messages.

use tokio::time::Instant;

/// Returns the seconds since `moment`, to the millisecond: more digits are only noise to a reader.
#[allow(clippy::cast_precision_loss, reason = "exact for the milliseconds of 285 000 years")]
pub(crate) fn age(moment: Instant, now: Instant) -> f64 {
    now.saturating_duration_since(moment).as_millis() as f64 / 1_000.0
}

/// Formats a duration: `320 ms`, `12 s`, `4 min`.
pub(crate) fn span(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", s * 1_000.0),
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5_400.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3_600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

/// Formats an age: `just now`, `3 s ago`. Ages below a second are all `just now`, since they grow while they are read.
pub(crate) fn ago(seconds: f64) -> String {
    if seconds < 1.0 { "just now".to_owned() } else { format!("{} ago", span(seconds)) }
}

/// Formats a measured duration: `5.1 ms`.
pub(crate) fn millis(seconds: f64) -> String {
    match seconds {
        s if s < 0.01 => format!("{:.1} ms", s * 1_000.0),
        s if s < 10.0 => format!("{:.0} ms", s * 1_000.0),
        s => span(s),
    }
}

/// Formats a ratio: `4.2 %`.
pub(crate) fn percent(ratio: f64) -> String {
    if ratio < 0.0995 { format!("{:.1} %", ratio * 100.0) } else { format!("{:.0} %", ratio * 100.0) }
}

/// Formats a count with its noun: `1 backend`, `2 backends`.
pub(crate) fn many(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_that_matter() {
        let spans = [0.32, 12.4, 89.0, 240.0, 7_300.0, 400_000.0].map(span);
        assert_eq!(spans, ["320 ms", "12 s", "89 s", "4 min", "2 h", "5 days"]);
        assert_eq!([0.0051, 0.052, 12.0].map(millis), ["5.1 ms", "52 ms", "12 s"]);
        assert_eq!([0.042, 0.4].map(percent), ["4.2 %", "40 %"]);
        assert_eq!([0.2, 3.0].map(ago), ["just now", "3 s ago"]);
        assert_eq!([many(1, "attempt"), many(0, "attempt")], ["1 attempt", "0 attempts"]);
    }
}
