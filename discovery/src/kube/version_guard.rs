//! A guard against an API server whose versions go back.

use std::time::Duration;

use tokio::time::Instant;

/// Remembers the newest version of a collection that the API server has shown, and refuses older lists for a while.
///
/// Each list request asks for the newest state, so one that is older than what was known before it means that the API
/// server (or the etcd behind it) has lost a part of its history: it lags behind another one, or was restored from a
/// backup. The first is over soon; the second is permanent, and its state is then the true one. So an older list is
/// refused until lists have been older for [`Self::REFUSAL_TIME`], without a newer one in between. A list vouches for at
/// most [`Self::MAX_VOUCHED_TIME`] before it: nothing is known about a longer silence.
///
/// Several users of one source share a guard: what one of them has seen in the meantime does not make the list of
/// another older.
///
/// Versions are compared as numbers, which Kubernetes allows for its own resources. A version that is not a number is
/// accepted and not remembered.
#[derive(Debug, Default)]
pub(super) struct VersionGuard {
    newest: Option<u64>,
    refused: Option<Refused>,
}

/// Newest version that was known when a list began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known(Option<u64>);

/// Lists in a row that were refused.
#[derive(Clone, Copy, Debug)]
struct Refused {
    last: Instant,
    vouched: Duration,
}

/// Error of a version that is older than one seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Older {
    pub(super) offered: u64,
    pub(super) seen: u64,
}

impl VersionGuard {
    pub(super) const REFUSAL_TIME: Duration = Duration::from_secs(30);
    const MAX_VOUCHED_TIME: Duration = Duration::from_secs(10);

    /// Returns what is known now, when a list begins.
    pub(super) fn known(&self) -> Known {
        Known(self.newest)
    }

    /// Accepts a part of a list of `version`, read at `now`, or refuses it as older than what was known when the list
    /// began.
    pub(super) fn admit(&mut self, version: &str, known: Known, now: Instant) -> Result<(), Older> {
        let Ok(offered) = version.parse() else { return Ok(()) };
        // The versions may have begun anew in the meantime.
        let Some(seen) = known.0.min(self.newest).filter(|seen| offered < *seen) else {
            self.refused = None;
            self.newest = self.newest.max(Some(offered));
            return Ok(());
        };
        let vouched = match self.refused {
            Some(Refused { last, vouched }) => vouched + now.duration_since(last).min(Self::MAX_VOUCHED_TIME),
            None => Duration::ZERO,
        };
        if vouched < Self::REFUSAL_TIME {
            self.refused = Some(Refused { last: now, vouched });
            return Err(Older { offered, seen });
        }
        tracing::warn!(offered, seen, "the API server went back in time and stays there: its state is used");
        (self.newest, self.refused) = (Some(offered), None);
        Ok(())
    }

    /// Remembers that a watch has shown `version`.
    pub(super) fn saw(&mut self, version: &str) {
        self.newest = self.newest.max(version.parse().ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Admits a list that begins and ends at `now`.
    fn admit(versions: &mut VersionGuard, version: &str, now: Instant) -> Result<(), Older> {
        versions.admit(version, versions.known(), now)
    }

    #[tokio::test(start_paused = true)]
    async fn an_older_list_is_refused_until_lists_have_been_older_for_the_whole_refusal_time() {
        let (mut versions, start) = (VersionGuard::default(), Instant::now());
        admit(&mut versions, "10", start).unwrap();
        versions.saw("20");
        let older = Older { offered: 15, seen: 20 };
        for seconds in [0, 5, 10, 15, 20, 25, 29] {
            assert_eq!(admit(&mut versions, "15", start + Duration::from_secs(seconds)), Err(older));
        }
        assert_eq!(admit(&mut versions, "16", start + VersionGuard::REFUSAL_TIME), Ok(()));
        assert_eq!(admit(&mut versions, "17", start + VersionGuard::REFUSAL_TIME), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_has_caught_up_ends_the_refusal_time() {
        let (mut versions, start) = (VersionGuard::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        admit(&mut versions, "10", at(0)).unwrap();
        for seconds in [0, 10, 20] {
            admit(&mut versions, "9", at(seconds)).unwrap_err();
        }
        admit(&mut versions, "10", at(29)).unwrap();
        for seconds in [30, 40, 50, 59] {
            admit(&mut versions, "9", at(seconds)).unwrap_err();
        }
        admit(&mut versions, "9", at(60)).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_no_part_of_the_refusal_time() {
        let (mut versions, start) = (VersionGuard::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        admit(&mut versions, "10", at(0)).unwrap();
        admit(&mut versions, "9", at(0)).unwrap_err();
        for seconds in [100, 105, 110, 115] {
            admit(&mut versions, "9", at(seconds)).unwrap_err();
        }
        admit(&mut versions, "9", at(120)).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_others_see_while_a_list_is_read_does_not_make_it_older() {
        let (mut versions, now) = (VersionGuard::default(), Instant::now());
        versions.saw("10");
        let known = versions.known();
        for others in ["20", "30"] {
            versions.saw(others);
            versions.admit("15", known, now).unwrap(); // each page has the version of the first
        }
        assert_eq!(admit(&mut versions, "29", now), Err(Older { offered: 29, seen: 30 }), "a list that begins now");
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_pages_of_a_list_that_was_accepted_in_the_end_are_accepted_too() {
        let (mut versions, start) = (VersionGuard::default(), Instant::now());
        versions.saw("50");
        let known = versions.known();
        for seconds in [0, 10, 20] {
            versions.admit("40", known, start + Duration::from_secs(seconds)).unwrap_err();
        }
        for _page in 0..3 {
            versions.admit("40", known, start + VersionGuard::REFUSAL_TIME).unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn versions_that_are_not_numbers_are_not_compared() {
        let mut versions = VersionGuard::default();
        for version in ["b", "a", ""] {
            admit(&mut versions, version, Instant::now()).unwrap();
            versions.saw(version);
        }
    }
}
