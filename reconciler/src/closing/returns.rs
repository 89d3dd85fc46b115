//! The connections that have ended, until as many have opened again.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use crate::siblings::SILENT_AFTER;

/// Maximum number of closings that one report of a sibling is believed.
const MAX_NEWS: u64 = 10_000;

/// Maximum number of samples whose early connections are kept.
const MAX_EARLY: usize = 1_000;

/// Matches each connection that opens with the one that ended first, and so notices whether clients come back.
///
/// Connections end all the time without being closed on purpose, and others open. So a new connection takes the place of
/// the oldest one that has ended, whoever ended it; what has not been replaced after [`Returns::TIME_LIMIT`] will not be.
#[derive(Clone, Debug, Default)]
pub(crate) struct Returns {
    /// Connections that were not replaced yet, oldest first.
    ended: VecDeque<Ended>,
    /// Number of connections closed on purpose among them.
    away: u64,
    /// Connections closed on purpose whose ends no sample has shown yet.
    not_seen: u64,
    /// Connections that opened lately in the place of none that had ended, oldest first: news of a sibling that closed some
    /// may come later than their clients.
    early: VecDeque<(Instant, u64)>,
    /// The last trials, oldest first; set if it came back.
    trials: VecDeque<bool>,
    /// Trials that came back since the run began.
    returned: u64,
}

#[derive(Clone, Copy, Debug)]
struct Ended {
    at: Instant,
    by: By,
    number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// On purpose, as one by which it is judged whether clients come back.
    Trial,
    /// On purpose, because its backend leaves.
    Leaving,
    Others,
}

impl Returns {
    /// Time within which a connection has to be replaced.
    pub(crate) const TIME_LIMIT: Duration = Duration::from_secs(30);

    /// Number of connections by which it is judged whether clients come back.
    pub(crate) const TRIALS: usize = 20;

    /// Takes in that a connection was closed on purpose. Whether it comes back matters if its backend stays.
    pub(crate) fn closed(&mut self, is_trial: bool, now: Instant) {
        let by = if is_trial { By::Trial } else { By::Leaving };
        self.ended.push_back(Ended { at: now, by, number: 1 });
        self.away += 1;
        self.not_seen += 1;
    }

    /// Takes in the connections that have opened and ended since the sample before.
    pub(crate) fn sampled(&mut self, opened: u64, ended: u64, now: Instant) {
        let on_purpose = ended.min(self.not_seen);
        self.not_seen -= on_purpose;
        if ended > on_purpose {
            self.ended.push_back(Ended { at: now, by: By::Others, number: ended - on_purpose });
        }
        self.replace(opened, now);
        self.give_up(now);
    }

    /// Takes in the same of a sibling, through which clients come back just as well, and how many it closed on purpose. Its
    /// news may be as old as that of any sibling that is heard.
    pub(crate) fn sampled_elsewhere(&mut self, closed: u64, opened: u64, ended: u64, now: Instant) {
        let is_late = |(at, _): &(Instant, u64)| now.saturating_duration_since(*at) > SILENT_AFTER;
        while self.early.front().is_some_and(is_late) {
            self.early.pop_front();
        }
        for _ in 0..closed.min(MAX_NEWS) {
            self.closed(true, now);
            if let Some((_, number)) = self.early.front_mut() {
                *number -= 1;
                if *number == 0 {
                    self.early.pop_front();
                }
                self.replace(1, now);
            }
        }
        self.sampled(opened, ended, now);
    }

    /// Gives up those that were not replaced in time.
    pub(crate) fn give_up(&mut self, now: Instant) {
        while let Some(first) = self.ended.front().copied()
            && now.saturating_duration_since(first.at) >= Self::TIME_LIMIT
        {
            self.ended.pop_front();
            self.leave_queue(first.by, first.number, false);
        }
    }

    /// Returns the number of connections that were closed on purpose and not replaced yet.
    pub(crate) fn away(&self) -> u64 {
        self.away
    }

    /// Begins a run: trust has to be earned again.
    pub(crate) fn begin(&mut self) {
        self.returned = 0;
    }

    /// Returns how many connections may be away: 20, and later as many as have come back in this run, without those of the
    /// last trials that did not.
    pub(crate) fn max_away(&self) -> u64 {
        let lost = self.trials.iter().filter(|returned| !**returned).count();
        self.returned.max(as_number(Self::TRIALS)).saturating_sub(as_number(lost))
    }

    /// Returns `true` if fewer than four in five of the last trials came back, once there were 20. After that, they do not
    /// count any more.
    pub(crate) fn take_failure(&mut self) -> bool {
        let returned = self.trials.iter().filter(|returned| **returned).count();
        let has_failed = self.trials.len() >= Self::TRIALS && returned * 5 < self.trials.len() * 4;
        if has_failed {
            self.trials.clear();
        }
        has_failed
    }

    /// Returns the moment at which the next one is given up.
    pub(crate) fn next_limit(&self) -> Option<Instant> {
        let first = self.ended.iter().find(|ended| ended.by != By::Others)?;
        first.at.checked_add(Self::TIME_LIMIT)
    }

    fn replace(&mut self, mut opened: u64, now: Instant) {
        while opened > 0
            && let Some(first) = self.ended.front_mut()
        {
            let number = first.number.min(opened);
            first.number -= number;
            let (by, is_done) = (first.by, first.number == 0);
            if is_done {
                self.ended.pop_front();
            }
            opened -= number;
            self.leave_queue(by, number, true);
        }
        if opened > 0 {
            if self.early.len() == MAX_EARLY {
                self.early.pop_front();
            }
            self.early.push_back((now, opened));
        }
    }

    fn leave_queue(&mut self, by: By, number: u64, has_returned: bool) {
        if by == By::Others {
            return;
        }
        self.away -= number;
        if by == By::Trial {
            self.returned += if has_returned { number } else { 0 };
            self.trials.push_back(has_returned);
            if self.trials.len() > Self::TRIALS {
                self.trials.pop_front();
            }
        }
    }
}

fn as_number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn what_opens_replaces_what_was_closed() {
        let (mut returns, now) = (Returns::default(), Instant::now());
        (0..20).for_each(|_| returns.closed(true, now));
        returns.sampled(0, 20, now + SECOND);
        assert_eq!((returns.away(), returns.max_away()), (20, 20));
        returns.sampled(19, 0, now + 2 * SECOND);
        assert_eq!(returns.away(), 1);
        returns.sampled(0, 0, now + 31 * SECOND);
        assert_eq!(returns.away(), 0);
        assert!(!returns.take_failure(), "19 of 20 came back");
    }

    #[test]
    fn clients_that_stay_away_are_noticed_once() {
        let (mut returns, now) = (Returns::default(), Instant::now());
        (0..20).for_each(|_| returns.closed(true, now));
        returns.sampled(15, 20, now + SECOND);
        assert!(!returns.take_failure(), "the others may still come back");
        returns.give_up(now + 30 * SECOND);
        assert!(returns.take_failure() && !returns.take_failure());
    }

    #[test]
    fn new_clients_are_not_taken_for_old_ones_in_a_pool_with_churn() {
        let (mut returns, mut now) = (Returns::default(), Instant::now());
        let mut failed = 0;
        for _ in 0..120 {
            now += SECOND;
            returns.closed(true, now);
            // Ten end by themselves and ten others open; the client of the closed one never comes back.
            returns.sampled(10, 11, now);
            failed += u32::from(returns.take_failure());
        }
        assert_eq!(failed, 0, "one in eleven that stays away is within what is tolerated");
        for _ in 0..240 {
            now += SECOND;
            (0..10).for_each(|_| returns.closed(true, now));
            returns.sampled(5, 15, now);
            failed += u32::from(returns.take_failure());
        }
        assert!(failed > 0, "two in three stay away");
    }

    #[test]
    fn what_leaves_with_its_backend_is_away_and_no_trial() {
        let (mut returns, now) = (Returns::default(), Instant::now());
        (0..40).for_each(|_| returns.closed(false, now));
        assert_eq!(returns.away(), 40);
        returns.give_up(now + 30 * SECOND);
        assert!(returns.away() == 0 && !returns.take_failure());
    }

    #[test]
    fn trust_grows_with_each_that_comes_back() {
        let (mut returns, now) = (Returns::default(), Instant::now());
        (0..50).for_each(|_| returns.closed(true, now));
        returns.sampled(50, 50, now);
        assert_eq!(returns.max_away(), 50);
        returns.begin();
        assert_eq!(returns.max_away(), 20);
    }
}
