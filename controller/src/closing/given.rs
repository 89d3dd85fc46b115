//! The connections that the closer was asked to close.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use ilb_connections::Outcome;
use tokio::time::Instant;

/// Cookies of the connections that the closer was asked to close lately, and may have closed. Their ends say nothing about
/// their backends.
#[derive(Debug, Default)]
pub(super) struct Given {
    cookies: BTreeSet<u64>,
    /// All of the last minute, oldest first.
    in_order: VecDeque<(Instant, u64)>,
}

/// Time within which an end is in a sample of every pool, also after some samples that failed. A cookie is given to no
/// other connection, so the limit only bounds the memory.
const REPORT_TIME_LIMIT: Duration = Duration::from_secs(60);

impl Given {
    /// Takes in that the closer is asked to close the connection with this cookie. Its end may be seen before the answer.
    pub(super) fn start(&mut self, cookie: u64, now: Instant) {
        while let Some((given, old)) = self.in_order.front()
            && now.duration_since(*given) >= REPORT_TIME_LIMIT
        {
            self.cookies.remove(old);
            self.in_order.pop_front();
        }
        self.cookies.insert(cookie);
        self.in_order.push_back((now, cookie));
    }

    /// Takes in the answer. A closer that has failed may have closed the connection before.
    pub(super) fn finish(&mut self, cookie: u64, outcome: &Outcome) {
        match outcome {
            Outcome::Closed | Outcome::Failed(_) => {}
            Outcome::Gone | Outcome::NotNow(_) | Outcome::Refused(_) => {
                self.cookies.remove(&cookie);
            }
        }
    }

    /// Returns `true` if the closer may have closed the connection with this cookie.
    pub(super) fn contains(&self, cookie: u64) -> bool {
        self.cookies.contains(&cookie)
    }
}

#[cfg(test)]
mod tests {
    use ilb_connections::{NotNow, Refusal};

    use super::*;

    #[test]
    fn what_the_closer_may_have_closed_is_known_from_the_order_on() {
        let outcomes = [
            (Outcome::Closed, true),
            (Outcome::Failed("it does not answer".to_owned()), true),
            (Outcome::Gone, false),
            (Outcome::NotNow(NotNow::NotQuiet), false),
            (Outcome::Refused(Refusal::TooFast), false),
        ];
        for (outcome, is_ours) in outcomes {
            let mut given = Given::default();
            given.start(7, Instant::now());
            assert!(given.contains(7), "its end may be seen before the answer of the closer");
            given.finish(7, &outcome);
            assert_eq!((given.contains(7), given.contains(8)), (is_ours, false), "{outcome:?}");
        }
    }

    #[test]
    fn what_was_closed_long_ago_is_forgotten() {
        let (mut given, now) = (Given::default(), Instant::now());
        given.start(7, now);
        given.start(8, now + REPORT_TIME_LIMIT);
        assert_eq!((given.contains(7), given.contains(8)), (false, true));
    }
}
