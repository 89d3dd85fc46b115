//! Troubles that come and go, as the log shows them: when they begin, when they end, and how often they were repeated.

use std::{collections::BTreeMap, fmt::Display, time::Duration};

use tokio::time::Instant;

/// A trouble that begins, is repeated and ends, perhaps many times.
///
/// The log gets a line at its first occurrence, and at the first one of another kind. Each kind is then counted for a
/// minute and summed up in one line, also if the trouble ended and began again in between: its log grows by a few lines a
/// minute, however often it comes and goes.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    /// Occurrences by kind, since the last line about each.
    kinds: BTreeMap<&'static str, Occurrences>,
    ongoing: Option<Ongoing>,
}

/// A trouble that has not ended.
#[derive(Debug, Default)]
struct Ongoing {
    times: u64,
    is_logged: bool,
}

/// Occurrences of one kind since the last line about it.
#[derive(Debug)]
struct Occurrences {
    since: Instant,
    times: u64,
    /// Text of the last one.
    text: String,
}

/// Occurrences of one kind that have not been logged one by one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Summary {
    pub(super) kind: &'static str,
    pub(super) times: u64,
    /// Time in which they happened.
    pub(super) seconds: u64,
    /// Text of the last one.
    pub(super) text: String,
    /// The trouble has not ended.
    pub(super) is_ongoing: bool,
}

/// End of a trouble.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Ended {
    /// Number of occurrences since it began.
    pub(super) times: u64,
    /// The log has a line about it, and needs one about its end.
    pub(super) is_logged: bool,
}

impl Trouble {
    /// Time from one line about a kind to the next.
    const SUMMARY_INTERVAL: Duration = Duration::from_secs(60);

    /// Takes in an occurrence. Returns whether it has to be logged; if not, it will be in a summary.
    pub(super) fn occurred(&mut self, kind: &'static str, text: &dyn Display, now: Instant) -> bool {
        let ongoing = self.ongoing.get_or_insert_default();
        ongoing.times += 1;
        let text = text.to_string();
        if let Some(occurrences) = self.kinds.get_mut(kind) {
            occurrences.times += 1;
            occurrences.text = text;
            return false;
        }
        ongoing.is_logged = true;
        self.kinds.insert(kind, Occurrences { since: now, times: 0, text });
        true
    }

    /// Takes in that the trouble is over; `None` if there was none.
    pub(super) fn ended(&mut self) -> Option<Ended> {
        let Ongoing { times, is_logged } = self.ongoing.take()?;
        Some(Ended { times, is_logged })
    }

    /// Returns whether there is no trouble, and none that a summary is still due for.
    pub(super) fn is_forgotten(&self) -> bool {
        self.ongoing.is_none() && self.kinds.is_empty()
    }

    /// Returns the summaries that are due.
    pub(super) fn summaries(&mut self, now: Instant) -> Vec<Summary> {
        let Self { kinds, ongoing } = self;
        let mut summaries = Vec::new();
        kinds.retain(|kind, occurrences| {
            let passed = now.saturating_duration_since(occurrences.since);
            if passed < Self::SUMMARY_INTERVAL {
                return true;
            }
            let Occurrences { times, text, .. } = occurrences;
            if *times == 0 {
                return false;
            }
            let (times, text) = (std::mem::take(times), text.clone());
            summaries.push(Summary { kind, times, seconds: passed.as_secs(), text, is_ongoing: ongoing.is_some() });
            occurrences.since = now;
            true
        });
        if let (Some(ongoing), false) = (ongoing, summaries.is_empty()) {
            ongoing.is_logged = true;
        }
        summaries
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    /// Returns how often something was summed up, and in how many seconds.
    fn figures(summaries: &[Summary]) -> Vec<(&'static str, u64, u64)> {
        summaries.iter().map(|s| (s.kind, s.times, s.seconds)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_trouble_that_lasts_is_logged_when_it_begins_and_summed_up_once_a_minute() {
        let (mut trouble, mut lines, mut sums) = (Trouble::default(), 0, Vec::new());
        for _ in 0..241 {
            lines += u32::from(trouble.occurred("unreachable", &"no route", Instant::now()));
            sums.extend(trouble.summaries(Instant::now()));
            advance(Duration::from_millis(500)).await;
        }
        assert_eq!((lines, figures(&sums)), (1, vec![("unreachable", 120, 60), ("unreachable", 120, 60)]));
        assert!(sums.iter().all(|sum| sum.is_ongoing && sum.text == "no route"));
        assert_eq!(trouble.ended(), Some(Ended { times: 241, is_logged: true }));
        assert_eq!(trouble.ended(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trouble_that_comes_and_goes_is_no_line_each_time() {
        let (mut trouble, mut begun, mut over, mut sums) = (Trouble::default(), 0, 0, Vec::new());
        for _ in 0..600 {
            begun += u32::from(trouble.occurred("overwritten", &"", Instant::now()));
            over += u32::from(trouble.ended().is_some_and(|ended| ended.is_logged));
            advance(Duration::from_millis(500)).await;
            sums.extend(trouble.summaries(Instant::now()));
        }
        assert_eq!((begun, over), (1, 1));
        assert_eq!(figures(&sums), [119, 120, 120, 120, 120].map(|times| ("overwritten", times, 60)));
        assert!(sums.iter().all(|sum| !sum.is_ongoing));
    }

    #[tokio::test(start_paused = true)]
    async fn kinds_that_take_turns_are_summed_up_each_for_itself() {
        let (mut trouble, mut lines, mut sums) = (Trouble::default(), 0, Vec::new());
        for attempt in 0..250 {
            let kind = ["unreachable", "not ready"][attempt % 2];
            lines += u32::from(trouble.occurred(kind, &"", Instant::now()));
            advance(Duration::from_millis(500)).await;
            sums.extend(trouble.summaries(Instant::now()));
        }
        assert_eq!((lines, sums.len()), (2, 4), "{sums:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_quiet_minute_a_trouble_is_logged_again() {
        let mut trouble = Trouble::default();
        assert!(trouble.occurred("refused", &"", Instant::now()));
        trouble.ended().unwrap();
        advance(Trouble::SUMMARY_INTERVAL).await;
        assert_eq!(trouble.summaries(Instant::now()), []);
        assert!(trouble.occurred("refused", &"", Instant::now()));
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_of_a_trouble_that_only_a_summary_has_shown_is_logged() {
        let mut trouble = Trouble::default();
        trouble.occurred("refused", &"", Instant::now());
        trouble.ended();
        trouble.occurred("refused", &"", Instant::now());
        advance(Trouble::SUMMARY_INTERVAL).await;
        assert_eq!(trouble.summaries(Instant::now()).len(), 1);
        assert_eq!(trouble.ended(), Some(Ended { times: 1, is_logged: true }));
    }
}
