//! Bars and curves of characters.

/// Draws a bar for `value`, where `most` is a full bar, padded to `width` characters.
pub(super) fn bar(value: f64, most: f64, width: usize) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = if most > 0.0 { rounded(value / most * size(width) * 8.0).min(width * 8) } else { 0 };
    // A value above zero is visible, however small it is.
    let eighths = if value > 0.0 { eighths.max(1) } else { 0 };
    let bar = "█".repeat(eighths / 8) + PARTS[eighths % 8];
    format!("{bar:width$}")
}

/// Draws the last `width` values as a curve from 0 to the highest of them, or to `at_least` if that is higher.
pub(super) fn curve(values: &[Option<f64>], at_least: f64, width: usize) -> String {
    const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let values = &values[values.len().saturating_sub(width)..];
    let top = values.iter().flatten().copied().fold(at_least, f64::max);
    let step = |value: f64| STEPS[rounded(value / top * 7.0).min(7)];
    values.iter().map(|value| value.map_or(' ', step)).collect()
}

/// Rounds a value of at most some thousands.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least 0, and at most some thousands")]
fn rounded(value: f64) -> usize {
    value.round().max(0.0) as usize
}

/// Converts a width or height of a screen, which is exact.
#[allow(clippy::cast_precision_loss, reason = "a screen is narrower than 2^53")]
fn size(width: usize) -> f64 {
    width as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_its_share_and_never_invisible() {
        assert_eq!([10.0, 5.0, 0.1, 0.0].map(|value| bar(value, 10.0, 4)), ["████", "██  ", "▏   ", "    "]);
        assert_eq!(bar(3.0, 8.0, 1), "▍");
        assert_eq!(bar(0.0, 0.0, 2), "  ");
        assert_eq!(bar(20.0, 10.0, 2), "██", "never longer than its width");
    }

    #[test]
    fn a_curve_shows_the_last_values_and_gaps() {
        let values = [Some(9.0), Some(0.0), None, Some(0.5), Some(1.0)];
        assert_eq!(curve(&values, 1.0, 4), "▁ ▅█");
        assert_eq!(curve(&[], 1.0, 4), "");
    }
}
