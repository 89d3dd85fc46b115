//! Numbers as a person says them, in the words of the status page.

/// For how long: `320 ms`, `12 s`, `4 min`.
pub(crate) fn span(seconds: f64) -> String {
    match seconds {
        s if s < 1.0 => format!("{:.0} ms", s * 1_000.0),
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5_400.0 => format!("{:.0} min", s / 60.0),
        s if s < 172_800.0 => format!("{:.0} h", s / 3_600.0),
        s => format!("{:.0} days", s / 86_400.0),
    }
}

/// How long ago. What moves on while one looks is not counted in milliseconds.
pub(crate) fn ago(seconds: f64) -> String {
    if seconds < 1.0 { "just now".to_owned() } else { format!("{} ago", span(seconds)) }
}

/// How long something took: `5.1 ms`.
pub(crate) fn millis(seconds: f64) -> String {
    match seconds {
        s if s < 0.01 => format!("{:.1} ms", s * 1_000.0),
        s if s < 10.0 => format!("{:.0} ms", s * 1_000.0),
        s => span(s),
    }
}

/// A ratio: `4.2 %`.
pub(crate) fn percent(ratio: f64) -> String {
    if ratio < 0.0995 { format!("{:.1} %", ratio * 100.0) } else { format!("{:.0} %", ratio * 100.0) }
}

/// `1 backend`, `2 backends`.
pub(crate) fn many(count: u64, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

/// A text from elsewhere without anything that a terminal would obey.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_said_with_the_digits_that_matter() {
        let spans = [0.32, 12.4, 89.0, 240.0, 7_300.0, 400_000.0].map(span);
        assert_eq!(spans, ["320 ms", "12 s", "89 s", "4 min", "2 h", "5 days"]);
        assert_eq!([0.0051, 0.052, 12.0].map(millis), ["5.1 ms", "52 ms", "12 s"]);
        assert_eq!([0.042, 0.4].map(percent), ["4.2 %", "40 %"]);
        assert_eq!([0.2, 3.0].map(ago), ["just now", "3 s ago"]);
        assert_eq!([many(1, "attempt"), many(0, "attempt")], ["1 attempt", "0 attempts"]);
    }

    #[test]
    fn a_terminal_obeys_nothing_from_elsewhere() {
        assert_eq!(plain("a\u{1b}[2J\nb"), "a\u{fffd}[2J\u{fffd}b");
    }
}
