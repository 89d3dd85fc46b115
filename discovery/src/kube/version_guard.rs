use std::time::Duration;

use tokio::time::Instant;

/// The newest version of a collection that the API server has shown, so that a list that is older is noticed.
///
/// Lists are asked for in their newest state, so an older one means that the API server (or the etcd behind it) has
/// lost a part of its history: it lags behind another one, or was restored from a backup. The first passes; the second
/// stays, and is then the truth. So an older list is refused, until that has been the answer for [`Self::HOLD`].
///
/// Versions are compared as numbers, which Kubernetes allows for its own resources. One that is no number is accepted
/// and not remembered.
#[derive(Debug, Default)]
pub(super) struct VersionGuard {
    newest: Option<u64>,
    refused_since: Option<Instant>,
}

/// What is refused: a version that is older than one seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Older {
    pub(super) offered: u64,
    pub(super) seen: u64,
}

impl VersionGuard {
    pub(super) const HOLD: Duration = Duration::from_secs(30);

    /// Whether a collection in `version`, read at `now`, may be taken over.
    pub(super) fn admit(&mut self, version: &str, now: Instant) -> Result<(), Older> {
        let Ok(offered) = version.parse() else { return Ok(()) };
        match self.newest {
            Some(seen) if offered < seen => {
                let since = *self.refused_since.get_or_insert(now);
                if now.duration_since(since) < Self::HOLD {
                    return Err(Older { offered, seen });
                }
                tracing::warn!(
                    offered,
                    seen,
                    "the API server went back in time and stays there: its state is taken over"
                );
            }
            _ => {}
        }
        (self.newest, self.refused_since) = (Some(offered), None);
        Ok(())
    }

    /// A watch showed `version`.
    pub(super) fn saw(&mut self, version: &str) {
        self.newest = self.newest.max(version.parse().ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_older_list_is_refused_until_it_has_been_the_answer_for_the_whole_hold() {
        let (mut versions, start) = (VersionGuard::default(), Instant::now());
        versions.admit("10", start).unwrap();
        versions.saw("20");
        let older = Older { offered: 15, seen: 20 };
        assert_eq!(versions.admit("15", start), Err(older));
        let almost = VersionGuard::HOLD.mul_f64(0.99);
        assert_eq!(versions.admit("15", start + almost), Err(older));
        assert_eq!(versions.admit("16", start + VersionGuard::HOLD), Ok(()));
        assert_eq!(versions.admit("17", start + VersionGuard::HOLD), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_has_caught_up_ends_the_hold() {
        let (mut versions, start) = (VersionGuard::default(), Instant::now());
        versions.admit("10", start).unwrap();
        versions.admit("9", start).unwrap_err();
        versions.admit("10", start + VersionGuard::HOLD).unwrap();
        versions.admit("9", start + VersionGuard::HOLD).unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn versions_that_are_no_numbers_are_not_compared() {
        let mut versions = VersionGuard::default();
        for version in ["b", "a", ""] {
            versions.admit(version, Instant::now()).unwrap();
            versions.saw(version);
        }
    }
}
