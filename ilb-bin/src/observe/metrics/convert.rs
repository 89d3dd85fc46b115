//! Conversions of counts to the numbers of a metric.

/// Converts a count to a value. It is exact up to 2^53.
#[allow(clippy::cast_precision_loss, reason = "a metric is a float, and counts stay below 2^53")]
pub(super) fn number(count: u64) -> f64 {
    count as f64
}

/// Converts a size to a value.
pub(super) fn size(count: usize) -> f64 {
    number(count as u64)
}

pub(super) fn yes_or_no(yes: bool) -> f64 {
    f64::from(u8::from(yes))
}
