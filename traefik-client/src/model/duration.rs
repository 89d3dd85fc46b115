//! Durations in Traefik's notation.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// A duration in a configuration: whole milliseconds, never zero (which Traefik takes for "none" or "at once"), at most 100
/// years, and always written with units.
///
/// A shorter duration becomes 1 ms, a longer one becomes 100 years.
///
/// ```
/// use std::time::Duration;
///
/// use ilb_traefik_client::model::TraefikDuration;
///
/// assert_eq!(TraefikDuration::from(Duration::from_millis(1500)).to_string(), "1.5s");
/// assert_eq!(TraefikDuration::from(Duration::ZERO).to_string(), "1ms");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraefikDuration {
    milliseconds: u64,
}

impl TraefikDuration {
    const MAX_MILLISECONDS: u64 = 100 * 365 * 24 * 3_600_000;
}

impl From<Duration> for TraefikDuration {
    fn from(duration: Duration) -> Self {
        let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(Self::MAX_MILLISECONDS);
        Self { milliseconds: milliseconds.clamp(1, Self::MAX_MILLISECONDS) }
    }
}

impl From<TraefikDuration> for Duration {
    fn from(duration: TraefikDuration) -> Self {
        Self::from_millis(duration.milliseconds)
    }
}

/// Writes the notation that Traefik uses when it echoes a configuration, so that equal durations are equal texts.
impl fmt::Display for TraefikDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.milliseconds < 1000 {
            return write!(f, "{}ms", self.milliseconds);
        }
        let (seconds, rest) = (self.milliseconds / 1000, self.milliseconds % 1000);
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if hours > 0 || minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        write!(f, "{}", seconds % 60)?;
        if rest > 0 {
            write!(f, ".{}", format!("{rest:03}").trim_end_matches('0'))?;
        }
        f.write_str("s")
    }
}

impl Serialize for TraefikDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TraefikDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse(&text)
            .map(|milliseconds| Self::from(Duration::from_millis(milliseconds)))
            .ok_or_else(|| D::Error::custom(format_args!("'{text}' is not a duration such as 1m30s or 250ms")))
    }
}

/// Returns the milliseconds in a text such as `1h0m2.5s`.
fn parse(text: &str) -> Option<u64> {
    let (mut milliseconds, mut left) = (0_u64, text);
    while !left.is_empty() {
        let number = &left[..left.find(|c: char| !c.is_ascii_digit() && c != '.')?];
        left = &left[number.len()..];
        let unit = &left[..left.find(|c: char| c.is_ascii_digit()).unwrap_or(left.len())];
        left = &left[unit.len()..];
        let scale = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return None,
        };
        milliseconds = milliseconds.checked_add(scaled(number, scale)?)?;
    }
    (!text.is_empty()).then_some(milliseconds)
}

/// Multiplies a decimal number by `scale`, without rounding errors.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = u32::try_from(fraction.len()).ok().filter(|digits| *digits <= 9)?;
    let fraction: u64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    whole.parse::<u64>().ok()?.checked_mul(scale)?.checked_add(fraction * scale / 10_u64.pow(digits))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "1ms")]
    #[case(100, "100ms")]
    #[case(2000, "2s")]
    #[case(2050, "2.05s")]
    #[case(60_000, "1m0s")]
    #[case(90_500, "1m30.5s")]
    #[case(3_600_000, "1h0m0s")]
    #[case(u64::MAX, "876000h0m0s")]
    fn a_duration_is_never_zero_and_has_units(#[case] milliseconds: u64, #[case] text: &str) {
        assert_eq!(TraefikDuration::from(Duration::from_millis(milliseconds)).to_string(), text);
    }

    #[rstest]
    #[case("5")]
    #[case("")]
    #[case("s")]
    #[case("-1s")]
    #[case("1s2")]
    #[case("1d")]
    #[case("1..5s")]
    fn a_text_without_units_is_not_a_duration(#[case] text: &str) {
        assert!(serde_json::from_value::<TraefikDuration>(text.into()).is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(milliseconds in 1..TraefikDuration::MAX_MILLISECONDS) {
            let duration = TraefikDuration { milliseconds };
            let text = serde_json::to_string(&duration)?;
            prop_assert_eq!(serde_json::from_str::<TraefikDuration>(&text)?, duration);
        }
    }
}
