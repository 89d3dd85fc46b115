//! What clients saw during an event: pure functions of what they reported.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::workers::{Line, What};

/// Summary of what the clients of an application saw during an event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Window {
    /// Operations that were confirmed.
    pub(crate) confirmed: usize,
    /// Attempts that ended with an error.
    pub(crate) failed: usize,
    /// Classes of these errors, with their numbers.
    pub(crate) errors: BTreeMap<String, usize>,
    /// Connections that clients opened.
    pub(crate) connected: usize,
    /// Longest time from the first attempt of an operation to its confirmation, in seconds.
    pub(crate) longest_wait: f64,
    /// Number of clients of which an attempt failed.
    pub(crate) hurt: usize,
    /// Other things that were seen, with their numbers.
    #[serde(default)]
    pub(crate) noted: BTreeMap<String, usize>,
}

/// Fate of the operations, by what the servers have stored.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Confirmed operations that are not there.
    pub(crate) lost: Vec<u64>,
    /// Confirmed operations that are there more than once.
    pub(crate) doubled: usize,
    /// Attempts that ended with an error and are there all the same: repeated as they were, they take place twice.
    pub(crate) failed_and_stored: usize,
}

/// Name of the number of wills that brokers have published.
pub(crate) const WILLS: &str = "wills";

/// Numbers that an application has stored, with how often it has.
pub(crate) type Stored = BTreeMap<u64, usize>;

impl Window {
    /// Sums up what was reported.
    pub(crate) fn of(lines: &[Line]) -> Self {
        let (mut this, mut hurt) = (Self::default(), BTreeSet::new());
        for line in lines {
            match &line.what {
                What::Connected => this.connected += 1,
                What::Confirmed { waited, .. } => {
                    this.confirmed += 1;
                    this.longest_wait = this.longest_wait.max(*waited);
                }
                What::Failed { error, .. } => {
                    this.failed += 1;
                    *this.errors.entry(error.clone()).or_default() += 1;
                    hurt.insert(line.client);
                }
                What::Noted { what, count } => *this.noted.entry(what.clone()).or_default() += count,
                What::Stopped => {}
            }
        }
        this.hurt = hurt.len();
        this
    }

    /// Adds what other clients saw at the same time.
    pub(crate) fn add(&mut self, other: Self) {
        self.confirmed += other.confirmed;
        self.failed += other.failed;
        add(&mut self.errors, other.errors);
        add(&mut self.noted, other.noted);
        self.connected += other.connected;
        self.longest_wait = self.longest_wait.max(other.longest_wait);
        self.hurt += other.hurt;
    }
}

/// Adds numbers to those of the same names.
pub(crate) fn add(to: &mut BTreeMap<String, usize>, numbers: BTreeMap<String, usize>) {
    for (name, number) in numbers {
        *to.entry(name).or_default() += number;
    }
}

impl Kept {
    /// Compares what was reported with what is stored.
    pub(crate) fn of(lines: &[Line], stored: &Stored) -> Self {
        let mut this = Self::default();
        for line in lines {
            match line.what {
                What::Confirmed { number, .. } => match stored.get(&number) {
                    None => this.lost.push(number),
                    Some(1) => {}
                    Some(_) => this.doubled += 1,
                },
                What::Failed { number, .. } => this.failed_and_stored += usize::from(stored.contains_key(&number)),
                What::Connected | What::Noted { .. } | What::Stopped => {}
            }
        }
        this
    }
}

/// Returns the fullest of these, relative to their mean; 0 if all are empty.
#[allow(clippy::cast_precision_loss, reason = "there are few connections")]
pub(crate) fn spread(connections: &[usize]) -> f64 {
    let (sum, most) = (connections.iter().sum::<usize>(), connections.iter().max().copied().unwrap_or_default());
    if sum == 0 { 0.0 } else { most as f64 * connections.len() as f64 / sum as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(client: usize, what: What) -> Line {
        Line { client, what }
    }

    fn confirmed(number: u64, waited: f64) -> What {
        What::Confirmed { number, waited }
    }

    fn failed(number: u64) -> What {
        What::Failed { number, error: "OSError".to_owned(), text: String::new() }
    }

    fn lines() -> Vec<Line> {
        vec![
            line(0, confirmed(1, 0.1)),
            line(0, failed(2)),
            line(0, failed(3)),
            line(0, What::Connected),
            line(0, confirmed(4, 1.5)),
            line(1, confirmed(1_000_001, 0.2)),
            line(1, What::Noted { what: "missed messages".to_owned(), count: 3 }),
        ]
    }

    #[test]
    fn a_window_sums_up_what_all_clients_saw() {
        let mut window = Window::of(&lines());
        assert_eq!((window.confirmed, window.failed, window.connected, window.hurt), (3, 2, 1, 1));
        assert!((window.longest_wait - 1.5).abs() < f64::EPSILON);
        window.add(Window::of(&lines()));
        assert_eq!(window.noted, BTreeMap::from([("missed messages".to_owned(), 6)]));
        assert_eq!((window.confirmed, window.errors["OSError"], window.hurt), (6, 4, 2));
    }

    #[test]
    fn what_was_confirmed_and_is_not_stored_is_lost() {
        let kept = Kept::of(&lines(), &BTreeMap::from([(1, 1), (3, 1), (1_000_001, 2)]));
        assert_eq!(kept, Kept { lost: vec![4], doubled: 1, failed_and_stored: 1 });
    }

    #[test]
    fn the_spread_is_that_of_the_fullest() {
        assert!((spread(&[30, 30, 0]) - 1.5).abs() < f64::EPSILON);
        assert!((spread(&[20, 20, 20]) - 1.0).abs() < f64::EPSILON);
        assert!(spread(&[0, 0]).abs() < f64::EPSILON);
    }
}
