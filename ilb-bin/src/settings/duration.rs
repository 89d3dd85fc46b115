//! Durations in the notation of Go, which the predecessor took: `500ms`, `1.5h`, `1m30s`.

use std::time::Duration;

use anyhow::{Context, ensure};

/// Units and their lengths in nanoseconds. The micro sign and the Greek letter look alike.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Parses a duration. One that is too long to be counted in nanoseconds becomes the longest that is not, 584 years.
///
/// kube has a parser of this notation, which panics on `1s-2s` and on twenty digits; that of jiff refuses `1.5h30m`.
pub(super) fn parse(text: &str) -> anyhow::Result<Duration> {
    ensure!(!text.starts_with('-'), "it must not be negative");
    let mut left = text.strip_prefix('+').unwrap_or(text);
    if left == "0" {
        return Ok(Duration::ZERO);
    }
    let mut nanoseconds = 0_u64;
    while !left.is_empty() {
        let number = take(&mut left, is_in_number);
        let unit = take(&mut left, |c| !is_in_number(c));
        ensure!(!unit.is_empty(), "the unit after {number} is missing");
        let known = UNITS.iter().find(|(name, _)| *name == unit);
        let (_, length) = known.with_context(|| format!("{unit:?} is not a unit: there are ns, us, ms, s, m and h"))?;
        let part = multiplied(number, *length).with_context(|| format!("{number:?} is not a number"))?;
        nanoseconds = nanoseconds.saturating_add(part);
    }
    Ok(Duration::from_nanos(nanoseconds))
}

fn is_in_number(c: char) -> bool {
    c.is_ascii_digit() || c == '.'
}

/// Takes the characters at the start of `left` that are `wanted`.
fn take<'a>(left: &mut &'a str, wanted: impl Fn(char) -> bool) -> &'a str {
    let (taken, rest) = left.split_at(left.find(|c| !wanted(c)).unwrap_or(left.len()));
    *left = rest;
    taken
}

/// Returns the decimal `number` times `unit`, rounded down, and at most [`u64::MAX`]; `None` for a text that is not a
/// number.
fn multiplied(number: &str, unit: u64) -> Option<u64> {
    /// Further digits are less than a nanosecond, even of an hour.
    const MAX_FRACTION_DIGITS: usize = 13;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let has_second_point = fraction.contains('.');
    let has_digits = !(whole.is_empty() && fraction.is_empty());
    let digits =
        |text: &str| text.bytes().fold(0_u64, |n, digit| n.saturating_mul(10).saturating_add((digit - b'0').into()));
    let fraction = &fraction[..fraction.len().min(MAX_FRACTION_DIGITS)];
    (has_digits && !has_second_point).then(|| {
        let part = fraction.bytes().fold(u128::from(digits(fraction)) * u128::from(unit), |part, _| part / 10);
        digits(whole).saturating_mul(unit).saturating_add(u64::try_from(part).unwrap_or(u64::MAX))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("1s", 1_000_000_000)]
    #[case("500ms", 500_000_000)]
    #[case("1m30s", 90_000_000_000)]
    #[case("1.5h30m", 7_200_000_000_000)]
    #[case("+.5s", 500_000_000)]
    #[case("1.s", 1_000_000_000)]
    #[case("1\u{b5}s1\u{3bc}s1us1ns", 3_001)]
    #[case("0.0000000000002777777777777777777777h", 0)]
    #[case("0.00000000000027777777777777h", 0)]
    #[case("0.0000000000003h", 1)]
    #[case("0", 0)]
    #[case("", 0)]
    #[case("99999999999999999999s", u64::MAX)]
    #[case("5000000h5000000h", u64::MAX)]
    fn a_duration_is_the_sum_of_its_parts(#[case] text: &str, #[case] nanoseconds: u64) {
        assert_eq!(parse(text).unwrap(), Duration::from_nanos(nanoseconds));
    }

    #[rstest]
    #[case("1s-2s", "\"s-\" is not a unit")]
    #[case("1m-30s", "\"m-\" is not a unit")]
    #[case("-1s", "must not be negative")]
    #[case("+-1s", "\"-\" is not a unit")]
    #[case("5", "the unit after 5 is missing")]
    #[case("1d", "\"d\" is not a unit: there are ns, us, ms, s, m and h")]
    #[case("1 s", "\" s\" is not a unit")]
    #[case("s", "\"\" is not a number")]
    #[case(".s", "\".\" is not a number")]
    #[case("1..5s", "\"1..5\" is not a number")]
    #[case("1e9s", "\"e\" is not a unit")]
    #[case("infs", "\"infs\" is not a unit")]
    fn a_text_that_is_no_duration_is_refused(#[case] text: &str, #[case] problem: &str) {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.contains(problem), "{error}");
    }

    proptest! {
        #[test]
        fn a_sum_of_decimals_is_what_kube_reads(text in "([0-9]{1,5}(\\.[0-9]{0,4})?(ns|us|\u{b5}s|ms|s|m|h)){1,4}") {
            let read: Duration = text.parse::<kube::core::Duration>().unwrap().into();
            // kube calculates with floating point numbers.
            prop_assert!(parse(&text).unwrap().abs_diff(read) <= Duration::from_micros(1), "{:?}", read);
        }
    }
}
