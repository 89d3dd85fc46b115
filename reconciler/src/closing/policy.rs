//! The rules by which connections of a pool are closed, all of them off by default.

use std::{str::FromStr, time::Duration};

/// The rules by which connections of a pool are closed. By default nothing ever is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClosingPolicy {
    /// Moves the surplus of the fullest backends to the others.
    pub rebalance: Option<Rebalance>,
    /// Ends what is left on a backend that leaves.
    pub drain: Option<Drain>,
    /// Leaves a backend at once that no longer matches the selector.
    pub role: Option<Role>,
    /// Bounds the age of connections.
    pub age: Option<Age>,
    /// Time to wait after a start of this process or of the proxy, and before a rebalance after a change of the set.
    pub settle: Settle,
    /// Closings of one backend in an hour for rebalance and age together, in percent of the mean connections of a backend.
    pub budget: HourlyBudget,
    /// Time of day outside of which neither rebalance nor age closes anything; `None` for always.
    pub window: Option<Window>,
    /// Set to decide everything and close nothing.
    pub dry_run: bool,
}

impl ClosingPolicy {
    /// Returns `true` if nothing is ever closed.
    pub fn is_off(&self) -> bool {
        self.rebalance.is_none() && self.drain.is_none() && self.role.is_none() && self.age.is_none()
    }
}

/// Time to wait until a change has settled: 60 s by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settle(pub Duration);

/// Closings of one backend in an hour, in percent of the mean connections of a backend: 100 by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HourlyBudget(pub u32);

/// Moves the surplus of the fullest backends to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rebalance {
    /// Percent by which a backend has to be above its goal, and another one below, for a run to begin.
    pub start_above_percent: u32,
    /// Percent above its goal that each backend may have at the end of a run.
    pub stop_at_percent: u32,
    /// Connections that a backend has to be above its goal for a run to begin.
    pub least: u32,
    /// Closings a second, in 1/1000 of the mean connections of a backend; at least one.
    pub rate_permille: u32,
    /// Maximum number of closings a second.
    pub max_rate: u32,
    /// Age below which a connection is left alone.
    pub min_age: Duration,
    /// Time for which a connection has to be quiet.
    pub quiet: Duration,
}

/// Ends what is left on a backend that leaves, spread over the time that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    /// Time for which connections are left alone.
    pub after: Duration,
    /// Time over which they are closed then. It begins earlier, and is shorter, if the backend is killed before it would
    /// end.
    pub within: Duration,
    /// Time for which a connection has to be quiet, except at the end.
    pub quiet: Duration,
}

/// Leaves a backend at once that no longer matches the selector, such as the primary of before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Role {
    /// Time for which another backend that is ready is waited for.
    pub wait_for_successor: Duration,
}

/// Bounds the age of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age {
    /// Age from which on a connection is closed as soon as it is answered.
    pub max_age: Duration,
    /// Percent by which that age varies from one connection to the other, upwards.
    pub jitter_percent: u32,
    /// Time after which it is closed in any case; `None` for never.
    pub grace: Option<Duration>,
    /// Maximum number of closings a second.
    pub max_rate: u32,
    /// Time for which a connection has to be quiet.
    pub quiet: Duration,
    /// Set to close connections also while no other backend is ready, so that they return to the same one.
    pub even_alone: bool,
}

/// A part of the day, such as 22:00 to 05:00.
///
/// ```
/// # use std::time::Duration;
/// use ilb_reconciler::closing::Window;
///
/// let night: Window = "22:00-05:00".parse()?;
/// assert!(night.contains(Duration::from_secs(23 * 3600)) && !night.contains(Duration::from_secs(5 * 3600)));
/// # Ok::<(), ilb_reconciler::closing::InvalidWindow>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Minutes since midnight.
    from: u16,
    until: u16,
}

/// Error of a text that is not a [`Window`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidWindow(String);

const MINUTES_PER_DAY: u16 = 24 * 60;

impl Window {
    /// Returns `true` if this time since midnight is in the window, whose end is not.
    pub fn contains(self, time_of_day: Duration) -> bool {
        let minute = u16::try_from(time_of_day.as_secs() / 60 % u64::from(MINUTES_PER_DAY)).unwrap_or(0);
        if self.from < self.until {
            (self.from..self.until).contains(&minute)
        } else {
            minute >= self.from || minute < self.until
        }
    }
}

impl FromStr for Window {
    type Err = InvalidWindow;

    fn from_str(text: &str) -> Result<Self, InvalidWindow> {
        let minutes = |text: &str| {
            let (hour, minute) = text.split_once(':')?;
            let is_number = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            let (hour, minute): (u16, u16) =
                (is_number(hour) && is_number(minute)).then(|| Some((hour.parse().ok()?, minute.parse().ok()?)))??;
            (hour < 24 && minute < 60).then_some(hour * 60 + minute)
        };
        let window = text.split_once('-').and_then(|(from, until)| Some((minutes(from)?, minutes(until)?)));
        match window {
            Some((from, until)) if from != until => Ok(Self { from, until }),
            _ => Err(InvalidWindow(text.to_owned())),
        }
    }
}

impl std::fmt::Display for InvalidWindow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} is not a part of the day: give two different times, such as 22:00-05:00", self.0)
    }
}

impl std::error::Error for InvalidWindow {}

impl Default for Settle {
    fn default() -> Self {
        Self(Duration::from_secs(60))
    }
}

impl Default for HourlyBudget {
    fn default() -> Self {
        Self(100)
    }
}

impl Default for Rebalance {
    fn default() -> Self {
        Self {
            start_above_percent: 20,
            stop_at_percent: 5,
            least: 5,
            rate_permille: 5,
            max_rate: 10,
            min_age: Duration::from_secs(300),
            quiet: Duration::from_millis(200),
        }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self { after: Duration::from_secs(600), within: Duration::from_secs(120), quiet: Duration::from_secs(1) }
    }
}

impl Default for Role {
    fn default() -> Self {
        Self { wait_for_successor: Duration::from_secs(10) }
    }
}

impl Age {
    /// Creates the rule with this age, a jitter of 20 %, no grace, and at most 10 closings a second of connections that
    /// have been quiet for 200 ms.
    pub fn new(max_age: Duration) -> Self {
        Self {
            max_age,
            jitter_percent: 20,
            grace: None,
            max_rate: 10,
            quiet: Duration::from_millis(200),
            even_alone: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contains(window: &str, hour: u64, minute: u64) -> bool {
        window.parse::<Window>().unwrap().contains(Duration::from_secs(hour * 3600 + minute * 60 + 59))
    }

    #[test]
    fn a_window_may_go_over_midnight() {
        assert!(contains("22:00-05:30", 22, 0) && contains("22:00-05:30", 0, 0) && contains("22:00-05:30", 5, 29));
        assert!(!contains("22:00-05:30", 5, 30) && !contains("22:00-05:30", 21, 59));
        assert!(contains("08:00-09:00", 8, 0) && !contains("08:00-09:00", 9, 0) && !contains("08:00-09:00", 7, 59));
    }

    #[test]
    fn anything_else_is_no_window() {
        for text in
            ["", "22:00", "22:00-22:00", "24:00-05:00", "22:60-05:00", "22-05", "+2:00-05:00", "22:00-05:00-06:00"]
        {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
    }

    #[test]
    fn nothing_is_closed_by_default() {
        let policy = ClosingPolicy::default();
        assert!(policy.rebalance.is_none() && policy.drain.is_none() && policy.role.is_none() && policy.age.is_none());
    }
}
