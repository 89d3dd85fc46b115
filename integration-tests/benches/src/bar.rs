//! Bars: limits that were promised, beside what was measured.

use std::fmt;

use anyhow::ensure;

/// A limit that was promised, and the measured value.
#[derive(Clone, Debug)]
pub struct Bar {
    /// Description of the value, with its unit.
    pub name: String,
    /// Measured value.
    pub value: f64,
    /// Highest value that meets the bar.
    pub limit: f64,
}

impl Bar {
    /// Creates the bar that `value` is to be at most `limit`.
    pub fn new(name: impl Into<String>, value: f64, limit: f64) -> Self {
        Self { name: name.into(), value, limit }
    }

    /// Returns whether the value is within the limit. A value that is not a number is not.
    pub fn is_met(&self) -> bool {
        self.value <= self.limit
    }

    /// Formats a line of a table.
    pub fn row(&self) -> String {
        format!("| {} | {:.3} | {:.3} | {} |\n", self.name, self.value, self.limit, self.verdict())
    }

    fn verdict(&self) -> &'static str {
        if self.is_met() { "met" } else { "missed" }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<7}{:>8.3} (at most {:.3})  {}", self.verdict(), self.value, self.limit, self.name)
    }
}

/// Prints `bars`, and returns an error that names those that were missed.
pub fn check(bars: &[Bar]) -> anyhow::Result<()> {
    for bar in bars {
        println!("{bar}");
    }
    let missed: Vec<_> = bars.iter().filter(|bar| !bar.is_met()).map(|bar| bar.name.as_str()).collect();
    ensure!(missed.is_empty(), "missed: {}", missed.join("; "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_bar_is_an_error_that_names_it() {
        let bar = |name, value| Bar::new(name, value, 1.25);
        assert!(check(&[bar("met", 1.25)]).is_ok());
        let error = check(&[bar("met", 1.0), bar("missed", 1.26), bar("unknown", f64::NAN)]).unwrap_err();
        assert_eq!(error.to_string(), "missed: missed; unknown");
    }
}
