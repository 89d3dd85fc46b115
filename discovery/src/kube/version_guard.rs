//! A guard against an API server whose versions go back.

use std::time::Duration;

use tokio::time::Instant;

/// Remembers the newest version of a collection that the API server has shown, and refuses older lists for a while.
///
/// Each list request asks for the newest state, so an older one means that the API server (or the etcd behind it) has
/// lost a part of its history: it lags behind another one, or was restored from a backup. The first is over soon; the
/// second is permanent, and its state is then the true one. So an older list is refused until all lists have been older
/// for [`Self::REFUSAL_TIME`].
///
/// Versions are compared as numbers, which Kubernetes allows for its own resources. A version that is not a number is
/// accepted and not remembered.
#[derive(Debug, Default)]
pub(super) struct VersionGuard {
    newest: Option<u64>,
    refused_since: Option<Instant>,
}

/// Error of a version that is older than one seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Older {
    pub(super) offered: u64,
    pub(super) seen: u64,
}

impl VersionGuard {
    pub(super) const REFUSAL_TIME: Duration = Duration::from_secs(30);

    /// Accepts a list of `version`, read at `now`, or refuses it as older than one seen before.
    pub(super) fn admit(&mut self, version: &str, now: Instant) -> Result<(), Older> {
        let Ok(offered) = version.parse() else { return Ok(()) };
        match self.newest {
            Some(seen) if offered < seen => {
                let since = *self.refused_since.get_or_insert(now);
                if now.duration_since(since) < Self::REFUSAL_TIME {
                    return Err(Older { offered, seen });
                }
                tracing::warn!(offered, seen, "the API server went back in time and stays there: its state is used");
            }
            _ => {}
        }
        (self.newest, self.refused_since) = (Some(offered), None);
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

    #[tokio::test(start_paused = true)]
    async fn an_older_list_is_refused_until_lists_have_been_older_for_the_whole_refusal_time() {
        let (mut versions, start) = (VersionGuard::default(), Instant::now());
        versions.admit("10", start).unwrap();
        versions.saw("20");
        let older = Older { offered: 15, seen: 20 };
        assert_eq!(versions.admit("15", start), Err(older));
        let almost = VersionGuard::REFUSAL_TIME.mul_f64(0.99);
        assert_eq!(versions.admit("15", start + almost), Err(older));
        assert_eq!(versions.admit("16", start + VersionGuard::REFUSAL_TIME), Ok(()));
        assert_eq!(versions.admit("17", start + VersionGuard::REFUSAL_TIME), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_has_caught_up_ends_the_refusal_time() {
        let (mut versions, start) = (VersionGuard::default(), Instant::now());
        versions.admit("10", start).unwrap();
        versions.admit("9", start).unwrap_err();
        versions.admit("10", start + VersionGuard::REFUSAL_TIME).unwrap();
        versions.admit("9", start + VersionGuard::REFUSAL_TIME).unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn versions_that_are_not_numbers_are_not_compared() {
        let mut versions = VersionGuard::default();
        for version in ["b", "a", ""] {
            versions.admit(version, Instant::now()).unwrap();
            versions.saw(version);
        }
    }
}
